/** Where a file's blocks are, as ext4 tells it: up to four extents in the inode, more of them in a tree of blocks. */
import { crc32c } from "../crc32c.ts";
import type { BlockRange } from "./block-allocator.ts";
import { BLOCK_BYTES } from "./constants.ts";

export interface Extent {
  /** In blocks from the file's start. */
  readonly logical: number;
  readonly physical: number;
  readonly count: number;
}

/** A block of the tree: extents, or the nodes below it. */
export interface ExtentNode {
  readonly block: number;
  readonly depth: number;
  readonly entries: readonly (Extent | ExtentNode)[];
}

/** What stands in the inode itself. */
export type ExtentRoot = Omit<ExtentNode, "block">;

const MAGIC = 0xf30a;
const HEADER_BYTES = 12;
const ENTRY_BYTES = 12;
const IN_INODE = 4;
const IN_BLOCK = Math.floor((BLOCK_BYTES - HEADER_BYTES - 4) / ENTRY_BYTES);
/** Longer ones mean "not written yet". */
const MAX_EXTENT_BLOCKS = 32_768;

/** @param logical of the first block; the ranges hold what follows it */
export function extentsOf(logical: number, ranges: readonly BlockRange[]): Extent[] {
  const extents: Extent[] = [];
  let at = logical;
  for (const { first, count } of ranges) {
    for (let done = 0; done < count; ) {
      const length = Math.min(count - done, MAX_EXTENT_BLOCKS);
      extents.push({ logical: at, physical: first + done, count: length });
      at += length;
      done += length;
    }
  }
  return extents;
}

/** @param allocate gives a block for a node of the tree */
export function planExtentTree(
  extents: readonly Extent[],
  allocate: () => number,
): { readonly root: ExtentRoot; readonly nodes: readonly ExtentNode[] } {
  const nodes: ExtentNode[] = [];
  let level: readonly (Extent | ExtentNode)[] = extents;
  let depth = 0;
  while (level.length > IN_INODE) {
    const above: ExtentNode[] = [];
    for (let at = 0; at < level.length; at += IN_BLOCK) {
      above.push({ block: allocate(), depth, entries: level.slice(at, at + IN_BLOCK) });
    }
    nodes.push(...above);
    level = above;
    depth++;
  }
  return { root: { depth, entries: level }, nodes };
}

/** @returns 60 bytes for the inode */
export function encodeExtentRoot(root: ExtentRoot): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + IN_INODE * ENTRY_BYTES);
  encodeInto(bytes, root, IN_INODE);
  return bytes;
}

/** @param inodeSeed the checksum that the inode's number begins */
export function encodeExtentNode(node: ExtentNode, inodeSeed: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  encodeInto(bytes, node, IN_BLOCK);
  const end = HEADER_BYTES + IN_BLOCK * ENTRY_BYTES;
  bytes.writeUInt32LE(crc32c(inodeSeed, bytes.subarray(0, end)), end);
  return bytes;
}

function encodeInto(bytes: Buffer, { depth, entries }: ExtentRoot, capacity: number): void {
  bytes.writeUInt16LE(MAGIC, 0);
  bytes.writeUInt16LE(entries.length, 2);
  bytes.writeUInt16LE(capacity, 4);
  bytes.writeUInt16LE(depth, 6);
  for (const [index, entry] of entries.entries()) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    bytes.writeUInt32LE(firstLogical(entry), at);
    if ("block" in entry) {
      bytes.writeUInt32LE(entry.block % 2 ** 32, at + 4);
      bytes.writeUInt16LE(Math.floor(entry.block / 2 ** 32), at + 8);
    } else {
      bytes.writeUInt16LE(entry.count, at + 4);
      bytes.writeUInt16LE(Math.floor(entry.physical / 2 ** 32), at + 6);
      bytes.writeUInt32LE(entry.physical % 2 ** 32, at + 8);
    }
  }
}

function firstLogical(entry: Extent | ExtentNode): number {
  let at = entry;
  while ("block" in at) {
    const [first] = at.entries;
    if (first === undefined) return 0;
    at = first;
  }
  return at.logical;
}
