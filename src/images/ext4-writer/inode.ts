/** One inode: 256 bytes that hold everything of a file but its names and its bytes. */
import { crc32c, crc32cOfNumber } from "../crc32c.ts";
import type { TreeNode } from "../tree-node.ts";
import { BLOCK_BYTES, INODE_BYTES } from "./constants.ts";
import { type ExtentRoot, encodeExtentRoot } from "./extents.ts";
import { encodeInodeXattrs } from "./xattrs.ts";

export interface InodeContent {
  readonly number: number;
  readonly node: TreeNode;
  /** Names; of a directory also those by which it and its children call it. */
  readonly links: number;
  readonly sizeBytes: number;
  /** Undefined where there is nothing to find: devices, fifos, symbolic links that fit into the inode. */
  readonly extents: ExtentRoot | undefined;
  /** Of content, of its extent tree, of attributes. */
  readonly blocks: number;
  /** 0: none, they stand in the inode. */
  readonly xattrBlock: number;
}

const TYPE_BITS = {
  fifo: 0o010000,
  "character-device": 0o020000,
  directory: 0o040000,
  "block-device": 0o060000,
  file: 0o100000,
  symlink: 0o120000,
} as const satisfies Record<TreeNode["kind"], number>;
const HAS_EXTENTS = 0x80000;
/** Fields beyond the first 128 bytes. */
const EXTRA_BYTES = 32;
const XATTRS_AT = 160;
/** More subdirectories than fit are told as "unknown" (dir_nlink). */
const MAX_DIRECTORY_LINKS = 65_000;
/** The kernel's EXT4_LINK_MAX. */
export const MAX_LINKS = 65_000;
/** A shorter target stands where the extents would. */
export const FAST_SYMLINK_BYTES = 60;

/** What the checksum of everything that belongs to an inode begins with; its generation is 0. */
export function inodeSeed(checksumSeed: number, number: number): number {
  return crc32cOfNumber(crc32cOfNumber(checksumSeed, number), 0);
}

/** @param seed of this inode */
export function encodeInode(inode: InodeContent, seed: number): Buffer {
  const { node, sizeBytes, xattrBlock } = inode;
  const bytes = Buffer.alloc(INODE_BYTES);
  bytes.writeUInt16LE(TYPE_BITS[node.kind] | node.mode, 0x00);
  writeSplit(bytes, node.uid, 0x02, 0x78);
  writeSplit(bytes, node.gid, 0x18, 0x7a);
  bytes.writeUInt32LE(sizeBytes % 2 ** 32, 0x04);
  bytes.writeUInt32LE(Math.floor(sizeBytes / 2 ** 32), 0x6c);
  const tooMany = node.kind === "directory" && inode.links > MAX_DIRECTORY_LINKS;
  bytes.writeUInt16LE(tooMany ? 1 : inode.links, 0x1a);
  const sectors = inode.blocks * (BLOCK_BYTES / 512);
  bytes.writeUInt32LE(sectors % 2 ** 32, 0x1c);
  bytes.writeUInt16LE(Math.floor(sectors / 2 ** 32), 0x74);
  bytes.writeUInt32LE(inode.extents === undefined ? 0 : HAS_EXTENTS, 0x20);
  encodeBody(inode).copy(bytes, 0x28);
  bytes.writeUInt32LE(xattrBlock % 2 ** 32, 0x68);
  bytes.writeUInt16LE(Math.floor(xattrBlock / 2 ** 32), 0x76);
  bytes.writeUInt16LE(EXTRA_BYTES, 0x80);
  writeTimes(bytes, node.mtime);
  if (xattrBlock === 0) encodeInodeXattrs(node.xattrs).copy(bytes, XATTRS_AT);
  writeSplit(bytes, crc32c(seed, bytes), 0x7c, 0x82);
  return bytes;
}

function encodeBody({ node, extents }: InodeContent): Buffer {
  if (extents !== undefined) return encodeExtentRoot(extents);
  if (node.kind === "symlink") return Buffer.from(node.target, "latin1");
  if (node.kind !== "character-device" && node.kind !== "block-device") return Buffer.alloc(0);
  const { major, minor } = node;
  const bytes = Buffer.alloc(8);
  // The kernel's old_encode_dev and new_encode_dev.
  if (major < 256 && minor < 256) bytes.writeUInt32LE((major << 8) | minor, 0);
  else bytes.writeUInt32LE(((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0, 4);
  return bytes;
}

/** Access and change are the content's time too: when an archive was unpacked says nothing. */
function writeTimes(bytes: Buffer, mtime: number): void {
  const low = mtime | 0;
  const epoch = Math.round((mtime - low) / 2 ** 32);
  for (const at of [0x08, 0x0c, 0x10, 0x90]) bytes.writeInt32LE(low, at);
  for (const at of [0x8c, 0x84, 0x88, 0x94]) bytes.writeUInt32LE(epoch, at);
}

function writeSplit(bytes: Buffer, value: number, lowAt: number, highAt: number): void {
  bytes.writeUInt16LE(value & 0xffff, lowAt);
  bytes.writeUInt16LE(value >>> 16, highAt);
}
