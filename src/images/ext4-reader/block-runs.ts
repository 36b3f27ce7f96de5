/** Where a file's blocks lie: extent trees, and the block maps of ext2 and ext3. Every pointer is checked before it is followed. */
import { DecodeError } from "../../core/errors.ts";
import type { Inode } from "./inode.ts";

/** Blocks side by side; what no run covers is a hole, and reads as zeros. */
export interface BlockRun {
  /** Of the file, counted in blocks. */
  readonly logical: number;
  readonly physical: number;
  readonly count: number;
}

/** What the walk needs of the volume. */
export interface BlockSource {
  readonly blockBytes: number;
  readonly blocks: number;
  /** @throws {DecodeError} when more is read of the volume than an honest one has */
  readBlock(number: number): Promise<Buffer>;
}

const EXTENT_MAGIC = 0xf30a;
const EXTENT_ENTRY_BYTES = 12;
/** The kernel's own limit. */
const MAX_EXTENT_DEPTH = 5;
/** From here on, the length says: reserved but never written; reads as zeros. */
const UNWRITTEN_LENGTH = 32_768;

/** @returns in the order of the file @throws {DecodeError} naming the inode */
export function blockRuns(source: BlockSource, inode: Inode): AsyncGenerator<BlockRun, void, void> {
  return inode.hasExtents ? extentRuns(source, inode) : mappedRuns(source, inode);
}

async function* extentRuns(source: BlockSource, inode: Inode): AsyncGenerator<BlockRun, void, void> {
  const depth = inode.blockField.readUInt16LE(6);
  if (depth > MAX_EXTENT_DEPTH)
    throw new DecodeError(`inode ${inode.number}: an extent tree ${depth} levels deep`);
  let end = 0;
  for await (const run of extentNode(source, inode, inode.blockField, depth)) {
    if (run.logical < end)
      throw new DecodeError(`inode ${inode.number}: extents that overlap at block ${run.logical}`);
    end = run.logical + run.count;
    yield run;
  }
}

async function* extentNode(
  source: BlockSource,
  inode: Inode,
  node: Buffer,
  depth: number,
): AsyncGenerator<BlockRun, void, void> {
  const entries = node.readUInt16LE(2);
  const room = Math.floor(node.length / EXTENT_ENTRY_BYTES) - 1;
  if (node.readUInt16LE(0) !== EXTENT_MAGIC || node.readUInt16LE(6) !== depth || entries > room) {
    throw new DecodeError(`inode ${inode.number}: a damaged extent tree, ${depth} levels above its leaves`);
  }
  for (let index = 1; index <= entries; index++) {
    const entry = node.subarray(index * EXTENT_ENTRY_BYTES, (index + 1) * EXTENT_ENTRY_BYTES);
    if (depth > 0) {
      const child = entry.readUInt32LE(4) + entry.readUInt16LE(8) * 2 ** 32;
      yield* extentNode(source, inode, await source.readBlock(child), depth - 1);
      continue;
    }
    const length = entry.readUInt16LE(4);
    if (length > UNWRITTEN_LENGTH) continue;
    const physical = entry.readUInt32LE(8) + entry.readUInt16LE(6) * 2 ** 32;
    if (length === 0 || physical + length > source.blocks) {
      throw new DecodeError(`inode ${inode.number}: an extent of ${length} blocks at block ${physical}`);
    }
    yield { logical: entry.readUInt32LE(0), physical, count: length };
  }
}

const DIRECT_BLOCKS = 12;

async function* mappedRuns(source: BlockSource, inode: Inode): AsyncGenerator<BlockRun, void, void> {
  const fileBlocks = Math.ceil(inode.sizeBytes / source.blockBytes);
  let open: BlockRun | undefined;
  for await (const { logical, physical } of mappedBlocks(source, inode)) {
    if (logical >= fileBlocks) break;
    if (
      open !== undefined &&
      open.logical + open.count === logical &&
      open.physical + open.count === physical
    ) {
      open = { ...open, count: open.count + 1 };
    } else {
      if (open !== undefined) yield open;
      open = { logical, physical, count: 1 };
    }
  }
  if (open !== undefined) yield open;
}

interface MappedBlock {
  readonly logical: number;
  readonly physical: number;
}

async function* mappedBlocks(source: BlockSource, inode: Inode): AsyncGenerator<MappedBlock, void, void> {
  const perBlock = source.blockBytes / 4;
  yield* pointers(source, inode, inode.blockField.subarray(0, 4 * DIRECT_BLOCKS), 0, 0);
  let logical = DIRECT_BLOCKS;
  for (const level of [1, 2, 3]) {
    const at = 4 * (DIRECT_BLOCKS + level - 1);
    yield* pointers(source, inode, inode.blockField.subarray(at, at + 4), level, logical);
    logical += perBlock ** level;
  }
}

/** @param level 0: these point to the file's blocks; otherwise to blocks of pointers of the level below */
async function* pointers(
  source: BlockSource,
  inode: Inode,
  table: Buffer,
  level: number,
  firstLogical: number,
): AsyncGenerator<MappedBlock, void, void> {
  const span = (source.blockBytes / 4) ** level;
  for (let index = 0; 4 * index < table.length; index++) {
    const physical = table.readUInt32LE(4 * index);
    if (physical === 0) continue;
    if (physical >= source.blocks)
      throw new DecodeError(`inode ${inode.number}: a pointer to block ${physical}`);
    const logical = firstLogical + index * span;
    if (level === 0) yield { logical, physical };
    else yield* pointers(source, inode, await source.readBlock(physical), level - 1, logical);
  }
}
