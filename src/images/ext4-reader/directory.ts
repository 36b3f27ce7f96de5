/**
 * The names in one block of a directory. Blocks of a hash tree look like entries that are not in use to whoever reads them
 * in a row (the kernel's Documentation/filesystems/ext4/directory.rst), so they need no code of their own.
 */
import { DecodeError } from "../../core/errors.ts";

export interface DirectoryEntry {
  /** One character for each byte of the name, which need not be UTF-8: unique, and the same order everywhere. */
  readonly name: string;
  readonly inode: number;
}

const HEADER_BYTES = 8;

/** @returns without "." and ".." @throws {DecodeError} with the offset in the block */
export function decodeDirectoryBlock(block: Buffer, hasFileTypes: boolean): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let at = 0; at < block.length; ) {
    if (at + HEADER_BYTES > block.length)
      throw new DecodeError(`a directory entry is cut at byte ${at} of its block`);
    const recordBytes = readRecordBytes(block, at);
    const nameBytes = hasFileTypes ? block.readUInt8(at + 6) : block.readUInt16LE(at + 6);
    if (
      recordBytes < HEADER_BYTES ||
      recordBytes % 4 !== 0 ||
      at + recordBytes > block.length ||
      HEADER_BYTES + nameBytes > recordBytes
    ) {
      throw new DecodeError(`a directory entry of ${recordBytes} bytes at byte ${at} of its block`);
    }
    const inode = block.readUInt32LE(at);
    const name = block.toString("latin1", at + HEADER_BYTES, at + HEADER_BYTES + nameBytes);
    if (inode !== 0 && name !== "." && name !== "..") {
      if (name === "" || /[/\0]/.test(name))
        throw new DecodeError(`a directory entry with an impossible name at byte ${at} of its block`);
      entries.push({ name, inode });
    }
    at += recordBytes;
  }
  return entries;
}

/** Blocks of 64 KiB do not fit into two bytes: 0 and 65,535 both mean the whole block. */
function readRecordBytes(block: Buffer, at: number): number {
  const recordBytes = block.readUInt16LE(at + 4);
  return block.length === 65_536 && (recordBytes === 0 || recordBytes === 65_535)
    ? block.length
    : recordBytes;
}
