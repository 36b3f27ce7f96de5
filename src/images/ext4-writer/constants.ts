/**
 * The one shape of ext4 that we make: 4 KiB blocks, 256-byte inodes, 64-byte group descriptors; no journal, which a slot that
 * is never written does not need; nothing that GRUB 2.06's ext2 module refuses. Layout: the kernel's
 * Documentation/filesystems/ext4.
 */

export const BLOCK_BYTES = 4096;
export const BLOCKS_PER_GROUP = 8 * BLOCK_BYTES;
export const INODE_BYTES = 256;
export const INODES_PER_BLOCK = BLOCK_BYTES / INODE_BYTES;
/** One bit for each in one block. */
export const MAX_INODES_PER_GROUP = 8 * BLOCK_BYTES;
export const DESCRIPTOR_BYTES = 64;
export const ROOT_INODE = 2;
/** 1 to 10 are the file system's own. */
export const FIRST_FREE_INODE = 11;
