/** What tells a reader of the file system's shape: the superblock and the group descriptors, with their copies. */
import { crc32c, crc32cOfNumber } from "../crc32c.ts";
import {
  BLOCK_BYTES,
  BLOCKS_PER_GROUP,
  DESCRIPTOR_BYTES,
  FIRST_FREE_INODE,
  INODE_BYTES,
} from "./constants.ts";

export interface Volume {
  readonly totalBlocks: number;
  readonly freeBlocks: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  readonly freeInodes: number;
  /** 16 bytes each. */
  readonly uuid: Buffer;
  readonly hashSeed: Buffer;
  /** Seconds since 1970. */
  readonly createdAt: number;
}

export interface GroupDescriptor {
  readonly blockBitmap: { readonly block: number; readonly checksum: number };
  readonly inodeBitmap: { readonly block: number; readonly checksum: number };
  readonly inodeTable: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly directories: number;
  /** At the table's end. */
  readonly neverUsedInodes: number;
}

/** ext_attr, dir_index */
const COMPATIBLE = 0x08 | 0x20;
/** filetype, extent, 64bit, flex_bg */
const INCOMPATIBLE = 0x02 | 0x40 | 0x80 | 0x200;
/** sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum */
const READ_ONLY_COMPATIBLE = 0x01 | 0x02 | 0x08 | 0x20 | 0x40 | 0x400;
const INODE_TABLE_IS_ZEROED = 0x04;
const SUPERBLOCK_AT = 1024;
const SUPERBLOCK_BYTES = 1024;
/** User attributes and access control lists are on. */
const MOUNT_OPTIONS = 0x0c;

/** Every metadata checksum begins with it. */
export function checksumSeedOf(uuid: Buffer): number {
  return crc32c(0xffffffff, uuid);
}

/**
 * @param group whose copy it is; in group 0 the superblock stands behind room for a boot sector
 * @returns a superblock and all descriptors, in whole blocks
 */
export function encodeHead(volume: Volume, descriptors: Buffer, group: number): Buffer {
  const blocks = 1 + Math.ceil(descriptors.length / BLOCK_BYTES);
  const head = Buffer.alloc(blocks * BLOCK_BYTES);
  encodeSuperblock(volume, group).copy(head, group === 0 ? SUPERBLOCK_AT : 0);
  descriptors.copy(head, BLOCK_BYTES);
  return head;
}

function encodeSuperblock(volume: Volume, group: number): Buffer {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  bytes.writeUInt32LE(volume.groups * volume.inodesPerGroup, 0x00);
  bytes.writeUInt32LE(volume.totalBlocks % 2 ** 32, 0x04);
  bytes.writeUInt32LE(volume.freeBlocks % 2 ** 32, 0x0c);
  bytes.writeUInt32LE(volume.freeInodes, 0x10);
  // log2 of block and cluster in KiB
  bytes.writeUInt32LE(2, 0x18);
  bytes.writeUInt32LE(2, 0x1c);
  bytes.writeUInt32LE(BLOCKS_PER_GROUP, 0x20);
  bytes.writeUInt32LE(BLOCKS_PER_GROUP, 0x24);
  bytes.writeUInt32LE(volume.inodesPerGroup, 0x28);
  bytes.writeUInt32LE(volume.createdAt % 2 ** 32, 0x30);
  // No check after any count of mounts; clean; errors: continue.
  bytes.writeInt16LE(-1, 0x36);
  bytes.writeUInt16LE(0xef53, 0x38);
  bytes.writeUInt16LE(1, 0x3a);
  bytes.writeUInt16LE(1, 0x3c);
  bytes.writeUInt32LE(volume.createdAt % 2 ** 32, 0x40);
  bytes.writeUInt32LE(1, 0x4c);
  bytes.writeUInt32LE(FIRST_FREE_INODE, 0x54);
  bytes.writeUInt16LE(INODE_BYTES, 0x58);
  bytes.writeUInt16LE(group, 0x5a);
  bytes.writeUInt32LE(COMPATIBLE, 0x5c);
  bytes.writeUInt32LE(INCOMPATIBLE, 0x60);
  bytes.writeUInt32LE(READ_ONLY_COMPATIBLE, 0x64);
  volume.uuid.copy(bytes, 0x68);
  volume.hashSeed.copy(bytes, 0xec);
  // Half MD4, which GRUB and kernels share.
  bytes.writeUInt8(1, 0xfc);
  bytes.writeUInt16LE(DESCRIPTOR_BYTES, 0xfe);
  bytes.writeUInt32LE(MOUNT_OPTIONS, 0x100);
  bytes.writeUInt32LE(volume.createdAt % 2 ** 32, 0x108);
  bytes.writeUInt32LE(Math.floor(volume.totalBlocks / 2 ** 32), 0x150);
  bytes.writeUInt32LE(Math.floor(volume.freeBlocks / 2 ** 32), 0x158);
  // Extra fields that every inode has, and wants.
  bytes.writeUInt16LE(32, 0x15c);
  bytes.writeUInt16LE(32, 0x15e);
  // Signed directory hashes.
  bytes.writeUInt32LE(1, 0x160);
  // 16 groups a flexible one.
  bytes.writeUInt8(4, 0x174);
  // CRC-32C.
  bytes.writeUInt8(1, 0x175);
  bytes.writeUInt32LE(crc32c(0xffffffff, bytes.subarray(0, 0x3fc)), 0x3fc);
  return bytes;
}

export function encodeDescriptors(groups: readonly GroupDescriptor[], checksumSeed: number): Buffer {
  const bytes = Buffer.alloc(groups.length * DESCRIPTOR_BYTES);
  for (const [number, group] of groups.entries()) {
    const entry = bytes.subarray(number * DESCRIPTOR_BYTES, (number + 1) * DESCRIPTOR_BYTES);
    writeLowHigh(entry, group.blockBitmap.block, 0x00, 0x20);
    writeLowHigh(entry, group.inodeBitmap.block, 0x04, 0x24);
    writeLowHigh(entry, group.inodeTable, 0x08, 0x28);
    writeHalves(entry, group.freeBlocks, 0x0c, 0x2c);
    writeHalves(entry, group.freeInodes, 0x0e, 0x2e);
    writeHalves(entry, group.directories, 0x10, 0x30);
    entry.writeUInt16LE(INODE_TABLE_IS_ZEROED, 0x12);
    writeHalves(entry, group.blockBitmap.checksum, 0x18, 0x38);
    writeHalves(entry, group.inodeBitmap.checksum, 0x1a, 0x3a);
    writeHalves(entry, group.neverUsedInodes, 0x1c, 0x32);
    const checksum = crc32c(crc32cOfNumber(checksumSeed, number), entry);
    entry.writeUInt16LE(checksum & 0xffff, 0x1e);
  }
  return bytes;
}

function writeLowHigh(bytes: Buffer, value: number, lowAt: number, highAt: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, lowAt);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), highAt);
}

function writeHalves(bytes: Buffer, value: number, lowAt: number, highAt: number): void {
  bytes.writeUInt16LE(value & 0xffff, lowAt);
  bytes.writeUInt16LE(value >>> 16, highAt);
}
