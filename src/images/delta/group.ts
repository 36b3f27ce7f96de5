/**
 * One group of a delta: runs of blocks that say where the new image's blocks come from, the ranges of the old image that are the
 * dictionary of the literals, and the literals as one zstd frame.
 *
 *     runs until the group is full: varint (count × 4 + kind); a copy is followed by the zigzag varint of
 *         (its old block − the block after the last copy's end)
 *     if there are literals: varint (number of ranges), for each: varint (blocks skipped since the last range's end), varint (blocks);
 *         then the frame, to the group's end
 *
 * A group of nothing but zeros may be no bytes at all. All numbers count blocks of 4 KiB.
 */

import { BLOCK_BYTES, BLOCKS_PER_GROUP } from "./geometry.ts";
import { VarintReader, writeVarint, zigzag } from "./varint.ts";

/** Where a block comes from: these two, or the number of an old block. */
export const ZERO = -1;
export const LITERAL = -2;
export type BlockSource = number;

export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

export interface GroupPlan {
  /** One for each block of the group. */
  readonly sources: readonly BlockSource[];
  /** Of the old image, ascending, without overlap. */
  readonly dictionary: readonly BlockRange[];
}

export interface DecodedGroup extends GroupPlan {
  /** Of the literals; empty when there are none. */
  readonly frame: Uint8Array;
}

/** 2 MiB, twice a group: half of it and twice of it change the size of a delta by less than 0.3 %. */
export const MAX_DICTIONARY_BLOCKS = 512;

/** Literals that do not compress grow by 1/256 (zstd's ZSTD_COMPRESSBOUND); runs and ranges take less than the rest. */
export const MAX_GROUP_BYTES = BLOCKS_PER_GROUP * BLOCK_BYTES + 64 * 1024;

const KINDS = { zero: 0, copy: 1, literal: 2 } as const;

/** @param frame of the literals; empty when there are none */
export function encodeGroup({ sources, dictionary }: GroupPlan, frame: Uint8Array): Buffer {
  if (sources.every(source => source === ZERO)) return Buffer.alloc(0);
  const numbers: number[] = [];
  let expected = 0;
  for (let at = 0; at < sources.length; ) {
    const count = runLength(sources, at);
    const source = sources[at] ?? ZERO;
    writeVarint(numbers, count * 4 + kindOf(source));
    if (source >= 0) {
      writeVarint(numbers, zigzag(source - expected));
      expected = source + count;
    }
    at += count;
  }
  if (frame.length > 0) writeRanges(numbers, dictionary);
  return Buffer.concat([Buffer.from(numbers), frame]);
}

/**
 * @param blocks how many the group has
 * @param oldBlocks of the old image: nothing beyond is ever named
 * @param offsetBytes of the group in the delta, for messages
 * @throws {DecodeError} with the offset
 */
export function decodeGroup(
  bytes: Uint8Array,
  blocks: number,
  oldBlocks: number,
  offsetBytes: number,
): DecodedGroup {
  const sources: BlockSource[] = [];
  if (bytes.length === 0) {
    return { sources: new Array(blocks).fill(ZERO), dictionary: [], frame: bytes };
  }
  const reader = new VarintReader(bytes, offsetBytes);
  let expected = 0;
  while (sources.length < blocks) {
    const word = reader.read("a run");
    const count = word >>> 2;
    const kind = word & 3;
    if (count === 0 || count > blocks - sources.length) {
      throw reader.fail(`a run of ${count} blocks where ${blocks - sources.length} are left`);
    }
    if (kind === KINDS.copy) {
      const first = expected + reader.readSigned("a copy's source");
      requireInside(reader, "a copy", first, count, oldBlocks);
      for (let index = 0; index < count; index++) sources.push(first + index);
      expected = first + count;
    } else {
      if (kind !== KINDS.zero && kind !== KINDS.literal) throw reader.fail(`a run of kind ${kind}`);
      const source = kind === KINDS.zero ? ZERO : LITERAL;
      for (let index = 0; index < count; index++) sources.push(source);
    }
  }
  if (!sources.includes(LITERAL)) {
    if (reader.position < bytes.length) throw reader.fail("bytes after a group without literals");
    return { sources, dictionary: [], frame: bytes.subarray(bytes.length) };
  }
  const dictionary = readRanges(reader, oldBlocks);
  return { sources, dictionary, frame: bytes.subarray(reader.position) };
}

function runLength(sources: readonly BlockSource[], at: number): number {
  const first = sources[at] ?? ZERO;
  let count = 1;
  while (at + count < sources.length && sources[at + count] === (first < 0 ? first : first + count)) count++;
  return count;
}

function kindOf(source: BlockSource): number {
  if (source === ZERO) return KINDS.zero;
  return source === LITERAL ? KINDS.literal : KINDS.copy;
}

function writeRanges(numbers: number[], ranges: readonly BlockRange[]): void {
  writeVarint(numbers, ranges.length);
  let end = 0;
  for (const { first, count } of ranges) {
    writeVarint(numbers, first - end);
    writeVarint(numbers, count);
    end = first + count;
  }
}

function readRanges(reader: VarintReader, oldBlocks: number): BlockRange[] {
  const ranges: BlockRange[] = [];
  const wanted = reader.read("the number of dictionary ranges");
  let end = 0;
  let total = 0;
  // The numbers are not believed: each range takes two bytes at least, and the blocks that may be named are few.
  while (ranges.length < wanted) {
    const first = end + reader.read("a dictionary range's start");
    const count = reader.read("a dictionary range's length");
    requireInside(reader, "a dictionary range", first, count, oldBlocks);
    total += count;
    if (total > MAX_DICTIONARY_BLOCKS) {
      throw reader.fail(`a dictionary of more than ${MAX_DICTIONARY_BLOCKS} blocks`);
    }
    ranges.push({ first, count });
    end = first + count;
  }
  return ranges;
}

function requireInside(
  reader: VarintReader,
  what: string,
  first: number,
  count: number,
  oldBlocks: number,
): void {
  if (count === 0 || first < 0 || first + count > oldBlocks) {
    throw reader.fail(`${what} of ${count} blocks from ${first}, in an old image of ${oldBlocks}`);
  }
}
