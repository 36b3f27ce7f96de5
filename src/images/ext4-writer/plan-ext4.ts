/**
 * Decides where everything of a file system stands, before a byte of it is written: the same tree gives the same image, in
 * order of its bytes, so that it can be streamed and its size is known. Layout: the file system's own blocks at the start,
 * then what each inode needs, in the order of the names.
 */
import { hash } from "node:crypto";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { crc32c } from "../crc32c.ts";
import { CHUNK_BYTES, MAX_CHUNKS } from "../manifest.ts";
import type { DirectoryNode, FileContent } from "../tree-node.ts";
import { BlockAllocator, type BlockRange, countFree, holdsSuperblock, setBits } from "./block-allocator.ts";
import {
  BLOCK_BYTES,
  BLOCKS_PER_GROUP,
  FIRST_FREE_INODE,
  INODE_BYTES,
  INODES_PER_BLOCK,
  MAX_INODES_PER_GROUP,
} from "./constants.ts";
import { countDirectoryBlocks, encodeDirectory } from "./directory-blocks.ts";
import { type Extent, encodeExtentNode, extentsOf, planExtentTree } from "./extents.ts";
import { encodeInode, FAST_SYMLINK_BYTES, type InodeContent, inodeSeed } from "./inode.ts";
import { type NumberedNode, numberInodes } from "./number-inodes.ts";
import {
  checksumSeedOf,
  encodeDescriptors,
  encodeHead,
  type GroupDescriptor,
  type Volume,
} from "./superblock.ts";
import { encodeXattrBlock, fitIntoInode } from "./xattrs.ts";

export interface Ext4Request {
  /** Decides the volume's UUID and the seed of its directory hashes. */
  readonly identity: string;
  readonly createdAt: EpochMs;
  /** A multiple of 4096; undefined: what the tree needs, in whole MiB. */
  readonly sizeBytes: number | undefined;
}

/** A stretch of the image that is not zeros. */
export interface ImagePiece {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly bytes:
    | { readonly kind: "made"; readonly make: () => Buffer }
    /** `sizeBytes` of a file from `fromBytes` on; what the file lacks is zeros. */
    | { readonly kind: "content"; readonly content: FileContent; readonly fromBytes: number };
}

export interface Ext4Plan {
  readonly sizeBytes: number;
  /** In order, apart from each other. */
  readonly pieces: readonly ImagePiece[];
}

const MIB = 1024 * 1024;
/** What a manifest can list. */
const MAX_BYTES = MAX_CHUNKS * CHUNK_BYTES;
/** Below it a last group could not even hold its copy of the superblock. */
const MIN_LAST_GROUP_BLOCKS = 64;

/** @throws {DrpError} request.invalid when the tree does not fit into `sizeBytes` */
export function planExt4(root: DirectoryNode, request: Ext4Request): Ext4Plan {
  const { sizeBytes } = request;
  const nodes = numberInodes(root);
  if (sizeBytes !== undefined && (sizeBytes % BLOCK_BYTES !== 0 || sizeBytes <= 0 || sizeBytes > MAX_BYTES))
    throw noSuchSize(sizeBytes);
  let groups = sizeBytes === undefined ? 1 : Math.ceil(sizeBytes / BLOCK_BYTES / BLOCKS_PER_GROUP);
  for (;;) {
    const layout = new Layout(nodes, groups, request);
    const neededBytes = layout.neededBytes;
    if (sizeBytes !== undefined) {
      if (neededBytes > sizeBytes) throw noSuchSize(sizeBytes, neededBytes);
      return layout.finish(sizeBytes);
    }
    const roundBytes = Math.ceil(neededBytes / MIB) * MIB;
    const neededGroups = Math.ceil(roundBytes / BLOCK_BYTES / BLOCKS_PER_GROUP);
    if (neededGroups <= groups) return layout.finish(roundBytes);
    groups = neededGroups;
  }
}

function noSuchSize(sizeBytes: number, neededBytes?: number): DrpError {
  const atLeast = neededBytes === undefined ? "" : `, at least ${formatBytes(neededBytes)}`;
  return new DrpError("request.invalid", `a file system of ${sizeBytes} bytes is not possible here`, {
    advice: `Give a multiple of ${BLOCK_BYTES} bytes${atLeast}, at most ${formatBytes(MAX_BYTES)}, or leave it out.`,
  });
}

/** Blocks of a group's own. */
interface GroupPlace {
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
}

class Layout {
  readonly #request: Ext4Request;
  readonly #blocks: BlockAllocator;
  readonly #inodesPerGroup: number;
  readonly #groups: readonly GroupPlace[];
  readonly #inodes: readonly InodeContent[];
  readonly #pieces: ImagePiece[] = [];
  readonly #uuid: Buffer;
  readonly #seed: number;

  constructor(nodes: readonly NumberedNode[], groups: number, request: Ext4Request) {
    this.#request = request;
    this.#uuid = uuidFrom(`volume ${request.identity}`);
    this.#seed = checksumSeedOf(this.#uuid);
    const lastInode = FIRST_FREE_INODE - 1 + nodes.length;
    const perGroup = Math.ceil(lastInode / groups / INODES_PER_BLOCK) * INODES_PER_BLOCK;
    // With too few groups the tables overlap nothing, but the plan is thrown away: it will need more groups.
    this.#inodesPerGroup = Math.min(perGroup, MAX_INODES_PER_GROUP);
    this.#blocks = new BlockAllocator(groups);
    const numbers = Array.from({ length: groups }, () => 0);
    const blockBitmaps = numbers.map(() => this.#blocks.allocateTogether(1));
    const inodeBitmaps = numbers.map(() => this.#blocks.allocateTogether(1));
    const tableBlocks = this.#inodesPerGroup / INODES_PER_BLOCK;
    this.#groups = numbers.map((_, group) => ({
      blockBitmap: blockBitmaps[group] ?? 0,
      inodeBitmap: inodeBitmaps[group] ?? 0,
      inodeTable: this.#blocks.allocateTogether(tableBlocks),
    }));
    this.#inodes = nodes.map(node => this.#place(node)).sort((a, b) => a.number - b.number);
  }

  get neededBytes(): number {
    const inodeGroups = Math.ceil((FIRST_FREE_INODE - 1 + this.#inodes.length) / MAX_INODES_PER_GROUP);
    const blocks = Math.max(this.#blocks.end, (inodeGroups - 1) * BLOCKS_PER_GROUP + 1);
    const inLastGroup = blocks % BLOCKS_PER_GROUP;
    const isStub = inLastGroup > 0 && inLastGroup < MIN_LAST_GROUP_BLOCKS;
    return (isStub ? blocks - inLastGroup + MIN_LAST_GROUP_BLOCKS : blocks) * BLOCK_BYTES;
  }

  finish(sizeBytes: number): Ext4Plan {
    const totalBlocks = sizeBytes / BLOCK_BYTES;
    const groups = this.#groups.map((group, number) => this.#planGroup(group, number, totalBlocks));
    const sum = (count: (group: GroupDescriptor) => number) =>
      groups.reduce((total, group) => total + count(group), 0);
    const volume: Volume = {
      totalBlocks,
      freeBlocks: sum(group => group.freeBlocks),
      groups: groups.length,
      inodesPerGroup: this.#inodesPerGroup,
      freeInodes: sum(group => group.freeInodes),
      uuid: this.#uuid,
      hashSeed: uuidFrom(`hash ${this.#request.identity}`),
      createdAt: Math.floor(this.#request.createdAt / 1000),
    };
    const descriptors = encodeDescriptors(groups, this.#seed);
    for (const number of groups.keys()) {
      if (!holdsSuperblock(number)) continue;
      const range = { first: number * BLOCKS_PER_GROUP, count: this.#blocks.headBlocks };
      this.#make(range, () => encodeHead(volume, descriptors, number));
    }
    return { sizeBytes, pieces: this.#pieces.sort((a, b) => a.offsetBytes - b.offsetBytes) };
  }

  #planGroup(
    { blockBitmap, inodeBitmap, inodeTable }: GroupPlace,
    number: number,
    totalBlocks: number,
  ): GroupDescriptor {
    const firstInode = 1 + number * this.#inodesPerGroup;
    const used = this.#inodesFrom(firstInode);
    const isFirst = number === 0;
    const lastUsed = Math.max(isFirst ? FIRST_FREE_INODE - 1 : firstInode - 1, used.at(-1)?.number ?? 0);
    const inodes = Buffer.alloc(BLOCK_BYTES);
    if (isFirst) setBits(inodes, 0, FIRST_FREE_INODE - 1);
    for (const inode of used) setBits(inodes, inode.number - firstInode, inode.number - firstInode + 1);
    setBits(inodes, this.#inodesPerGroup, MAX_INODES_PER_GROUP);
    const blocks = this.#blocks.bitmapOf(number, totalBlocks);
    this.#make({ first: blockBitmap, count: 1 }, () => blocks);
    this.#make({ first: inodeBitmap, count: 1 }, () => inodes);
    if (used.length > 0) {
      const count = Math.ceil((lastUsed - firstInode + 1) / INODES_PER_BLOCK);
      this.#make({ first: inodeTable, count }, () => this.#encodeTable(used, firstInode, count));
    }
    return {
      blockBitmap: { block: blockBitmap, checksum: crc32c(this.#seed, blocks) },
      inodeBitmap: {
        block: inodeBitmap,
        checksum: crc32c(this.#seed, inodes.subarray(0, this.#inodesPerGroup / 8)),
      },
      inodeTable,
      freeBlocks: countFree(blocks),
      freeInodes: countFree(inodes),
      directories: used.filter(({ node }) => node.kind === "directory").length,
      neverUsedInodes: firstInode + this.#inodesPerGroup - 1 - lastUsed,
    };
  }

  /** The root's number is far below those of all others, which follow each other. */
  #inodesFrom(firstInode: number): readonly InodeContent[] {
    const indexOf = (number: number) => Math.max(0, number - FIRST_FREE_INODE + 1);
    const start = firstInode === 1 ? 0 : indexOf(firstInode);
    return this.#inodes.slice(start, indexOf(firstInode + this.#inodesPerGroup));
  }

  #encodeTable(inodes: readonly InodeContent[], firstInode: number, blocks: number): Buffer {
    const table = Buffer.alloc(blocks * BLOCK_BYTES);
    for (const inode of inodes) {
      const seed = inodeSeed(this.#seed, inode.number);
      encodeInode(inode, seed).copy(table, (inode.number - firstInode) * INODE_BYTES);
    }
    return table;
  }

  /** Gives an inode its blocks. */
  #place({ number, node, links, entries }: NumberedNode): InodeContent {
    const seed = inodeSeed(this.#seed, number);
    const placed = this.#placeContent(node, entries, seed);
    const extents = placed.extents;
    const tree = extents && planExtentTree(extents, () => this.#blocks.allocateTogether(1));
    for (const treeNode of tree?.nodes ?? []) {
      this.#make({ first: treeNode.block, count: 1 }, () => encodeExtentNode(treeNode, seed));
    }
    const needsXattrBlock = !fitIntoInode(node.xattrs);
    const xattrBlock = needsXattrBlock ? this.#blocks.allocateTogether(1) : 0;
    if (needsXattrBlock) {
      this.#make({ first: xattrBlock, count: 1 }, () =>
        encodeXattrBlock(node.xattrs, xattrBlock, this.#seed),
      );
    }
    const contentBlocks = (extents ?? []).reduce((total, extent) => total + extent.count, 0);
    const blocks = contentBlocks + (tree?.nodes.length ?? 0) + (needsXattrBlock ? 1 : 0);
    return { number, node, links, sizeBytes: placed.sizeBytes, extents: tree?.root, blocks, xattrBlock };
  }

  #placeContent(
    node: NumberedNode["node"],
    entries: NumberedNode["entries"],
    seed: number,
  ): { readonly sizeBytes: number; readonly extents?: readonly Extent[] } {
    switch (node.kind) {
      case "directory": {
        const count = countDirectoryBlocks(entries.map(({ name }) => name));
        const ranges = this.#blocks.allocate(count);
        this.#makeAcross(ranges, () => encodeDirectory(entries, seed));
        return { sizeBytes: count * BLOCK_BYTES, extents: extentsOf(0, ranges) };
      }
      case "symlink": {
        const sizeBytes = node.target.length;
        if (sizeBytes < FAST_SYMLINK_BYTES) return { sizeBytes };
        const ranges = this.#blocks.allocate(1);
        this.#makeAcross(ranges, () => Buffer.concat([Buffer.from(node.target, "latin1")], BLOCK_BYTES));
        return { sizeBytes, extents: extentsOf(0, ranges) };
      }
      case "file":
        return { sizeBytes: node.content.sizeBytes, extents: this.#placeFile(node.content) };
      default:
        return { sizeBytes: 0 };
    }
  }

  #placeFile(content: FileContent): Extent[] {
    return blocksOf(content).flatMap(({ first, count }) => {
      const ranges = this.#blocks.allocate(count);
      let logical = first;
      for (const range of ranges) {
        this.#pieces.push({
          offsetBytes: range.first * BLOCK_BYTES,
          sizeBytes: range.count * BLOCK_BYTES,
          bytes: { kind: "content", content, fromBytes: logical * BLOCK_BYTES },
        });
        logical += range.count;
      }
      return extentsOf(first, ranges);
    });
  }

  #make({ first, count }: BlockRange, make: () => Buffer): void {
    const place = { offsetBytes: first * BLOCK_BYTES, sizeBytes: count * BLOCK_BYTES };
    this.#pieces.push({ ...place, bytes: { kind: "made", make } });
  }

  /** What is made as a whole and lies in several places. */
  #makeAcross(ranges: readonly BlockRange[], make: () => Buffer): void {
    let done = 0;
    for (const range of ranges) {
      const start = done * BLOCK_BYTES;
      this.#make(range, () => make().subarray(start, start + range.count * BLOCK_BYTES));
      done += range.count;
    }
  }
}

/** The blocks of a file that are not holes. */
function blocksOf({ runs }: FileContent): BlockRange[] {
  const ranges: { first: number; count: number }[] = [];
  for (const { offsetBytes, sizeBytes } of runs) {
    const first = Math.floor(offsetBytes / BLOCK_BYTES);
    const end = Math.ceil((offsetBytes + sizeBytes) / BLOCK_BYTES);
    const last = ranges.at(-1);
    const lastEnd = last === undefined ? -1 : last.first + last.count;
    if (last !== undefined && first <= lastEnd) last.count = Math.max(lastEnd, end) - last.first;
    else ranges.push({ first, count: end - first });
  }
  return ranges;
}

/** A UUID of version 8 (RFC 9562 §5.8): our own bits, the same for the same seed. */
function uuidFrom(seed: string): Buffer {
  const uuid = Buffer.from(hash("sha256", `drp ext4 ${seed}`), "hex").subarray(0, 16);
  uuid[6] = 0x80 | ((uuid[6] ?? 0) & 0x0f);
  uuid[8] = 0x80 | ((uuid[8] ?? 0) & 0x3f);
  return uuid;
}
