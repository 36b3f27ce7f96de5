/**
 * Makes an ext4 file system forget when its source was copied: mke2fs takes over each file's change time, which no copy can
 * keep, so the same content would give another image every time. Knows only file systems that make-ext4.ts makes: 4 KiB
 * blocks, 64-byte group descriptors, metadata_csum. Layout: the kernel's Documentation/filesystems/ext4.
 */
import { DecodeError } from "../core/errors.ts";

/** Where a block group keeps its inodes, in bytes of the file system. */
export interface InodeTable {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Inodes are counted from 1 throughout the file system. */
  readonly firstInode: number;
}

export interface InodeTables {
  readonly tables: readonly InodeTable[];
  /** Where every metadata checksum begins: the volume's UUID. */
  readonly checksumSeed: number;
}

const BLOCK_BYTES = 4096;
const SUPERBLOCK = 1024;
const INODE_BYTES = 256;
const DESCRIPTOR_BYTES = 64;
/** 128 MiB a group: 64 bytes of descriptor for each. */
const BYTES_PER_GROUP = 8 * BLOCK_BYTES * BLOCK_BYTES;

/** How much of the file system's start `locateInodeTables` needs. */
export function inodeTablesHeadBytes(fileSystemBytes: number): number {
  return BLOCK_BYTES + Math.ceil(fileSystemBytes / BYTES_PER_GROUP) * DESCRIPTOR_BYTES;
}

/** @throws {DecodeError} for a file system of another shape */
export function locateInodeTables(head: Buffer): InodeTables {
  const superblock = head.subarray(SUPERBLOCK, 2 * SUPERBLOCK);
  const inodeBytes = superblock.readUInt16LE(0x58);
  const descriptorBytes = superblock.readUInt16LE(0xfe);
  if (
    superblock.readUInt32LE(0x18) !== 2 ||
    inodeBytes !== INODE_BYTES ||
    descriptorBytes !== DESCRIPTOR_BYTES
  ) {
    throw new DecodeError("the superblock tells of other blocks, inodes or descriptors than were asked for");
  }
  const inodes = superblock.readUInt32LE(0x00);
  const inodesPerGroup = superblock.readUInt32LE(0x28);
  const tables = Array.from({ length: Math.ceil(inodes / inodesPerGroup) }, (_, group) => {
    const descriptor = head.subarray(BLOCK_BYTES + group * DESCRIPTOR_BYTES);
    const block = descriptor.readUInt32LE(0x08) + descriptor.readUInt32LE(0x28) * 2 ** 32;
    return {
      offsetBytes: block * BLOCK_BYTES,
      lengthBytes: inodesPerGroup * INODE_BYTES,
      firstInode: 1 + group * inodesPerGroup,
    };
  });
  return { tables, checksumSeed: crc32c(0xffffffff, superblock.subarray(0x68, 0x78)) };
}

/**
 * Sets every used inode's change and access times to its modification time, and its checksum to fit.
 *
 * @param table the bytes of an inode table; changed in place
 */
export function settleInodeTimes(table: Buffer, firstInode: number, checksumSeed: number): void {
  for (let at = 0; at < table.length; at += INODE_BYTES) {
    const inode = table.subarray(at, at + INODE_BYTES);
    const isUsed = inode.readUInt16LE(0x00) !== 0;
    if (!isUsed) continue;
    // Seconds, then the field of nanoseconds: atime 0x08 and 0x8c, ctime 0x0c and 0x84, mtime 0x10 and 0x88.
    for (const seconds of [0x08, 0x0c]) inode.copyWithin(seconds, 0x10, 0x14);
    for (const nanoseconds of [0x8c, 0x84]) inode.copyWithin(nanoseconds, 0x88, 0x8c);
    writeChecksum(inode, firstInode + at / INODE_BYTES, checksumSeed);
  }
}

/** Over the inode's number, its generation and the inode itself with the checksum's two halves as zeros. */
function writeChecksum(inode: Buffer, number: number, seed: number): void {
  inode.writeUInt16LE(0, 0x7c);
  inode.writeUInt16LE(0, 0x82);
  const numberBytes = Buffer.alloc(4);
  numberBytes.writeUInt32LE(number);
  const checksum = crc32c(crc32c(crc32c(seed, numberBytes), inode.subarray(0x64, 0x68)), inode);
  inode.writeUInt16LE(checksum & 0xffff, 0x7c);
  inode.writeUInt16LE(checksum >>> 16, 0x82);
}

/** CRC-32C (RFC 3720 §12.1, reflected polynomial 0x82f63b78), not inverted at the end, as ext4 chains it. */
function crc32c(state: number, bytes: Uint8Array): number {
  let crc = state;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let remainder = index;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0x82f63b78 : 0);
  return remainder;
});
