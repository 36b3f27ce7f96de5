/** What an ext2, ext3 or ext4 volume says of itself (the kernel's Documentation/filesystems/ext4/super.rst). */
import { DecodeError } from "../../core/errors.ts";

export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_BYTES = 1024;

export interface Superblock {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly inodes: number;
  readonly inodesPerGroup: number;
  readonly inodeBytes: number;
  /** Of one group descriptor. */
  readonly descriptorBytes: number;
  /** Where the group descriptors begin. */
  readonly descriptorsOffset: number;
  /** Directory entries carry a file type, and their names' lengths are one byte. */
  readonly hasFileTypes: boolean;
  readonly hasLargeDirectories: boolean;
}

/** mke2fs makes them 256 bytes long; the format allows a whole block, and each that is held takes that much memory. */
const MAX_INODE_BYTES = 4096;
const MAGIC = 0xef53;
const FILE_TYPE = 0x0002;
const WIDE_BLOCK_NUMBERS = 0x0080;
const LARGE_DIRECTORIES = 0x4000;
/** Incompatible features that are read: those three, recovered journals, extents, mmp, flex_bg, metadata_csum_seed. */
const READ = FILE_TYPE | 0x0040 | WIDE_BLOCK_NUMBERS | 0x0100 | 0x0200 | 0x2000 | LARGE_DIRECTORIES;
/** Those that are not, by their mke2fs names. */
const UNREAD: readonly (readonly [bit: number, name: string])[] = [
  [0x0001, "compression"],
  [0x0004, "a journal that needs recovery"],
  [0x0008, "journal_dev"],
  [0x0010, "meta_bg"],
  [0x0400, "ea_inode"],
  [0x1000, "dirdata"],
  [0x8000, "inline_data"],
  [0x1_0000, "encrypt"],
  [0x2_0000, "casefold"],
];

/**
 * @param bytes SUPERBLOCK_BYTES from SUPERBLOCK_OFFSET on
 * @param volumeBytes how much there is to read: no block may lie beyond it
 * @throws {DecodeError} no such volume, one that contradicts itself, or one with features that are not read here
 */
export function decodeSuperblock(bytes: Buffer, volumeBytes: number): Superblock {
  if (bytes.readUInt16LE(0x38) !== MAGIC) throw new DecodeError("there is no ext4 superblock at byte 1024");
  const incompatible = bytes.readUInt32LE(0x60);
  refuseUnread(incompatible);
  const isWide = (incompatible & WIDE_BLOCK_NUMBERS) !== 0;
  const logBlock = bytes.readUInt32LE(0x18);
  check(logBlock <= 6, `blocks of 2^${10 + logBlock} bytes`);
  const blockBytes = 1024 << logBlock;
  const blocks = bytes.readUInt32LE(0x04) + (isWide ? bytes.readUInt32LE(0x150) * 2 ** 32 : 0);
  const firstBlock = bytes.readUInt32LE(0x14);
  check(
    blocks * blockBytes <= volumeBytes,
    `${blocks} blocks of ${blockBytes} bytes in ${volumeBytes} bytes`,
  );
  check(firstBlock <= 1, `a first data block of ${firstBlock}`);
  const isFirstRevision = bytes.readUInt32LE(0x4c) === 0;
  const inodeBytes = isFirstRevision ? 128 : bytes.readUInt16LE(0x58);
  check(isPowerOfTwo(inodeBytes, 128, blockBytes), `inodes of ${inodeBytes} bytes`);
  if (inodeBytes > MAX_INODE_BYTES) {
    throw new DecodeError(`it has inodes of ${inodeBytes} bytes; at most ${MAX_INODE_BYTES} are read here`);
  }
  const descriptorBytes = isWide ? bytes.readUInt16LE(0xfe) : 32;
  check(isPowerOfTwo(descriptorBytes, 32, 1024), `group descriptors of ${descriptorBytes} bytes`);
  const inodes = bytes.readUInt32LE(0x00);
  const inodesPerGroup = bytes.readUInt32LE(0x28);
  const blocksPerGroup = bytes.readUInt32LE(0x20);
  check(inodesPerGroup > 0 && inodesPerGroup <= 8 * blockBytes, `${inodesPerGroup} inodes in a group`);
  check(blocksPerGroup > 0, "no blocks in a group");
  const groups = Math.ceil((blocks - firstBlock) / blocksPerGroup);
  check(inodes > 0 && inodes <= groups * inodesPerGroup, `${inodes} inodes in ${groups} groups`);
  return {
    blockBytes,
    blocks,
    inodes,
    inodesPerGroup,
    inodeBytes,
    descriptorBytes,
    // Behind the superblock's own block.
    descriptorsOffset: (Math.floor(SUPERBLOCK_OFFSET / blockBytes) + 1) * blockBytes,
    hasFileTypes: (incompatible & FILE_TYPE) !== 0,
    hasLargeDirectories: (incompatible & LARGE_DIRECTORIES) !== 0,
  };
}

function refuseUnread(incompatible: number): void {
  const names = UNREAD.filter(([bit]) => (incompatible & bit) !== 0).map(([, name]) => name);
  const known = UNREAD.reduce((bits, [bit]) => bits | bit, READ);
  const unknown = incompatible & ~known;
  if (unknown !== 0) names.push(`0x${(unknown >>> 0).toString(16)}`);
  if (names.length > 0) throw new DecodeError(`it uses what is not read here: ${names.join(", ")}`);
}

function check(isSound: boolean, claim: string): void {
  if (!isSound) throw new DecodeError(`the superblock at byte 1024 claims ${claim}`);
}

function isPowerOfTwo(value: number, least: number, most: number): boolean {
  return value >= least && value <= most && (value & (value - 1)) === 0;
}
