/** Extended attributes as ext4 keeps them: in the inode where they fit, or else in one block. */
import { crc32c, crc32cOfNumber } from "../crc32c.ts";
import { encodeAclForDisk } from "../posix-acl.ts";
import { BLOCK_BYTES } from "./constants.ts";

type Xattrs = ReadonlyMap<string, Buffer>;

/** The number that stands for the beginning of a name. */
const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ["user.", 1],
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["trusted.", 4],
  ["security.", 6],
];
const MAGIC = 0xea020000;
const BLOCK_HEADER_BYTES = 32;
const ENTRY_HEADER_BYTES = 16;
/** Between the fields of the inode and its end, less the magic. */
const INODE_ROOM_BYTES = 256 - 160 - 4;
const END_MARK_BYTES = 4;
const MAX_NAME_BYTES = 255;

interface Named {
  readonly index: number;
  readonly suffix: string;
  readonly value: Buffer;
}

/** @returns the name of an attribute that ext4 has no place for */
export function findForeignXattr(xattrs: Xattrs): string | undefined {
  return xattrs.keys().find(name => splitName(name) === undefined);
}

function splitName(name: string): Omit<Named, "value"> | undefined {
  const found = PREFIXES.find(([prefix]) => name.startsWith(prefix));
  if (found === undefined) return undefined;
  const [prefix, index] = found;
  const suffix = name.slice(prefix.length);
  // The two of ACLs are whole names, all others have one of their own behind the dot; the hash takes ASCII only.
  const isWhole = !prefix.endsWith(".");
  if (isWhole !== (suffix === "") || suffix.length > MAX_NAME_BYTES || !/^[\x21-\x7e]*$/.test(suffix))
    return undefined;
  return { index, suffix };
}

/** As they are laid out, without the end mark; a block's header not counted. */
export function measureXattrs(xattrs: Xattrs): number {
  let total = 0;
  for (const [name, value] of xattrs) {
    total += ENTRY_HEADER_BYTES + roundUpToFour(name.length) + roundUpToFour(value.length);
  }
  return total;
}

export const MAX_XATTR_BYTES = BLOCK_BYTES - BLOCK_HEADER_BYTES - END_MARK_BYTES;

const roundUpToFour = (count: number) => Math.ceil(count / 4) * 4;

export function fitIntoInode(xattrs: Xattrs): boolean {
  return measureXattrs(xattrs) + END_MARK_BYTES <= INODE_ROOM_BYTES;
}

/** @returns what stands in the inode from byte 160 on; nothing for no attributes */
export function encodeInodeXattrs(xattrs: Xattrs): Buffer {
  if (xattrs.size === 0) return Buffer.alloc(0);
  const bytes = Buffer.alloc(4 + INODE_ROOM_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  encodeEntries(bytes.subarray(4), sorted(xattrs), 0);
  return bytes;
}

/** @param block its number, which the checksum covers */
export function encodeXattrBlock(xattrs: Xattrs, block: number, checksumSeed: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  // One inode refers to it; it is one block.
  bytes.writeUInt32LE(1, 4);
  bytes.writeUInt32LE(1, 8);
  const hashes = encodeEntries(bytes, sorted(xattrs), BLOCK_HEADER_BYTES);
  bytes.writeUInt32LE(
    hashes.reduce((hash, entry) => (rotate(hash, 16) ^ entry) >>> 0, 0),
    12,
  );
  const seed = crc32cOfNumber(crc32cOfNumber(checksumSeed, block % 2 ** 32), Math.floor(block / 2 ** 32));
  bytes.writeUInt32LE(crc32c(seed, bytes), 16);
  return bytes;
}

function sorted(xattrs: Xattrs): Named[] {
  const named = [...xattrs].flatMap(([name, value]) => {
    const split = splitName(name);
    const isAcl = name.startsWith("system.");
    return split === undefined ? [] : [{ ...split, value: isAcl ? encodeAclForDisk(value) : value }];
  });
  return named.sort(
    (a, b) => a.index - b.index || a.suffix.length - b.suffix.length || (a.suffix < b.suffix ? -1 : 1),
  );
}

/** Entries from `start` on, values from the end backwards; offsets count from the beginning of `bytes`. */
function encodeEntries(bytes: Buffer, entries: readonly Named[], start: number): number[] {
  let at = start;
  let valueEnd = bytes.length;
  return entries.map(({ index, suffix, value }) => {
    const name = Buffer.from(suffix, "latin1");
    const valueAt = valueEnd - roundUpToFour(value.length);
    const hash = hashEntry(name, value);
    bytes.writeUInt8(name.length, at);
    bytes.writeUInt8(index, at + 1);
    bytes.writeUInt16LE(value.length === 0 ? 0 : valueAt, at + 2);
    bytes.writeUInt32LE(value.length, at + 8);
    bytes.writeUInt32LE(hash, at + 12);
    name.copy(bytes, at + ENTRY_HEADER_BYTES);
    value.copy(bytes, valueAt);
    at += ENTRY_HEADER_BYTES + roundUpToFour(name.length);
    valueEnd = valueAt;
    return hash;
  });
}

/** ext4_xattr_hash_entry of the kernel. */
function hashEntry(name: Buffer, value: Buffer): number {
  let hash = 0;
  for (const byte of name) hash = (rotate(hash, 5) ^ byte) >>> 0;
  const words = Buffer.alloc(roundUpToFour(value.length));
  value.copy(words);
  for (let at = 0; at < words.length; at += 4) hash = (rotate(hash, 16) ^ words.readUInt32LE(at)) >>> 0;
  return hash;
}

const rotate = (value: number, bits: number) => ((value << bits) | (value >>> (32 - bits))) >>> 0;
