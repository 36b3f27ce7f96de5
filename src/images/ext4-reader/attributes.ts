/** Extended attributes, in an inode and in a block of their own (the kernel's Documentation/filesystems/ext4/attributes.rst). */
import { DecodeError } from "../../core/errors.ts";

/** By full name: "security.capability". */
export type Attributes = ReadonlyMap<string, Buffer>;

const MAGIC = 0xea02_0000;
const BLOCK_HEADER_BYTES = 32;
const ENTRY_BYTES = 16;
const PREFIXES: Readonly<Record<number, string>> = {
  0: "",
  1: "user.",
  2: "system.posix_acl_access",
  3: "system.posix_acl_default",
  4: "trusted.",
  6: "security.",
  7: "system.",
  8: "system.richacl",
};

/** @param tail of the inode, behind its fixed fields @throws {DecodeError} */
export function decodeInodeAttributes(tail: Buffer): Attributes {
  const hasAny = tail.length >= 4 && tail.readUInt32LE(0) === MAGIC;
  // Values are counted from the first entry.
  return hasAny ? decodeEntries(tail.subarray(4), 0) : new Map();
}

/** @throws {DecodeError} */
export function decodeAttributeBlock(block: Buffer): Attributes {
  if (block.readUInt32LE(0) !== MAGIC)
    throw new DecodeError("a block of extended attributes without its mark");
  return decodeEntries(block, BLOCK_HEADER_BYTES);
}

/** @param area what values' offsets count from */
function decodeEntries(area: Buffer, firstEntry: number): Attributes {
  const attributes = new Map<string, Buffer>();
  for (let at = firstEntry; at + 4 <= area.length && area.readUInt32LE(at) !== 0; ) {
    if (at + ENTRY_BYTES > area.length) throw new DecodeError(`an extended attribute is cut at byte ${at}`);
    const nameBytes = area.readUInt8(at);
    const prefix = PREFIXES[area.readUInt8(at + 1)] ?? `${area.readUInt8(at + 1)}.`;
    const valueOffset = area.readUInt16LE(at + 2);
    const valueBytes = area.readUInt32LE(at + 8);
    const nameEnd = at + ENTRY_BYTES + nameBytes;
    if (nameEnd > area.length || valueOffset + valueBytes > area.length) {
      throw new DecodeError(`an extended attribute of ${valueBytes} bytes at byte ${at}`);
    }
    const name = prefix + area.toString("latin1", at + ENTRY_BYTES, nameEnd);
    attributes.set(name, Buffer.from(area.subarray(valueOffset, valueOffset + valueBytes)));
    at = at + ENTRY_BYTES + 4 * Math.ceil(nameBytes / 4);
  }
  return attributes;
}
