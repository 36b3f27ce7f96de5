/** A directory's content: a plain list of names, as GRUB and every kernel read it, each block with its checksum. */
import { crc32c } from "../crc32c.ts";
import type { TreeNode } from "../tree-node.ts";
import { BLOCK_BYTES } from "./constants.ts";

export interface NamedInode {
  /** A byte string. */
  readonly name: string;
  readonly inode: number;
  readonly kind: TreeNode["kind"];
}

const FILE_TYPE = {
  file: 1,
  directory: 2,
  "character-device": 3,
  "block-device": 4,
  fifo: 5,
  symlink: 7,
} as const satisfies Record<TreeNode["kind"], number>;

const HEADER_BYTES = 8;
/** An entry that looks unused and holds the block's checksum. */
const TAIL_BYTES = 12;
const TAIL_MARK = 0xde;
const ROOM_BYTES = BLOCK_BYTES - TAIL_BYTES;

const entryBytes = (name: string) => HEADER_BYTES + Math.ceil(name.length / 4) * 4;

/** How many blocks the names take, with those of the directory and its parent. */
export function countDirectoryBlocks(names: Iterable<string>): number {
  let blocks = 1;
  let filled = entryBytes(".") + entryBytes("..");
  for (const name of names) {
    const length = entryBytes(name);
    if (filled + length > ROOM_BYTES) {
      blocks++;
      filled = 0;
    }
    filled += length;
  }
  return blocks;
}

/**
 * @param entries in the order that was counted, "." and ".." first
 * @param inodeSeed the checksum that the directory's inode number begins
 */
export function encodeDirectory(entries: readonly NamedInode[], inodeSeed: number): Buffer {
  const blocks: Buffer[] = [];
  let block = Buffer.alloc(BLOCK_BYTES);
  let filled = 0;
  let lastAt = 0;
  const finish = () => {
    // The last entry reaches to the tail.
    block.writeUInt16LE(ROOM_BYTES - lastAt, lastAt + 4);
    block.writeUInt16LE(TAIL_BYTES, ROOM_BYTES + 4);
    block.writeUInt8(TAIL_MARK, ROOM_BYTES + 7);
    block.writeUInt32LE(crc32c(inodeSeed, block.subarray(0, ROOM_BYTES)), ROOM_BYTES + 8);
    blocks.push(block);
  };
  for (const { name, inode, kind } of entries) {
    const length = entryBytes(name);
    if (filled + length > ROOM_BYTES) {
      finish();
      block = Buffer.alloc(BLOCK_BYTES);
      filled = 0;
    }
    block.writeUInt32LE(inode, filled);
    block.writeUInt16LE(length, filled + 4);
    block.writeUInt8(name.length, filled + 6);
    block.writeUInt8(FILE_TYPE[kind], filled + 7);
    block.write(name, filled + HEADER_BYTES, "latin1");
    lastAt = filled;
    filled += length;
  }
  finish();
  return Buffer.concat(blocks);
}
