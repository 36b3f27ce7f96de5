/** Hands out blocks from the start of a file system on, around the copies of its superblock. */
import { BLOCK_BYTES, BLOCKS_PER_GROUP, DESCRIPTOR_BYTES } from "./constants.ts";

export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

export class BlockAllocator {
  readonly groups: number;
  /** Of a copy of the superblock and the group descriptors. */
  readonly headBlocks: number;
  /** A bit for each block of all groups, the first one the lowest. */
  readonly #used: Buffer;
  #next = 0;

  constructor(groups: number) {
    this.groups = groups;
    this.headBlocks = 1 + Math.ceil((groups * DESCRIPTOR_BYTES) / BLOCK_BYTES);
    this.#used = Buffer.alloc((groups * BLOCKS_PER_GROUP) / 8);
    for (let group = 0; group < groups; group++) {
      if (holdsSuperblock(group)) this.#mark({ first: group * BLOCKS_PER_GROUP, count: this.headBlocks });
    }
  }

  /** The first block that was never handed out, nor any behind it. */
  get end(): number {
    return this.#next;
  }

  /** In as few ranges as the copies of the superblock allow. */
  allocate(count: number): BlockRange[] {
    const ranges: BlockRange[] = [];
    for (let left = count; left > 0; ) {
      this.#passHead();
      const room = BLOCKS_PER_GROUP - (this.#next % BLOCKS_PER_GROUP);
      const last = ranges.at(-1);
      const range = { first: this.#next, count: Math.min(left, room) };
      if (last !== undefined && last.first + last.count === range.first) {
        ranges[ranges.length - 1] = { first: last.first, count: last.count + range.count };
      } else {
        ranges.push(range);
      }
      this.#take(range);
      left -= range.count;
    }
    return ranges;
  }

  /** @param count at most what a group with a head has left */
  allocateTogether(count: number): number {
    this.#passHead();
    const room = BLOCKS_PER_GROUP - (this.#next % BLOCKS_PER_GROUP);
    const endsInHead = count > room && holdsSuperblock(Math.floor(this.#next / BLOCKS_PER_GROUP) + 1);
    if (endsInHead) this.#next += room;
    this.#passHead();
    const first = this.#next;
    this.#take({ first, count });
    return first;
  }

  /**
   * @param totalBlocks of the file system; what lies behind counts as used
   * @returns the group's bitmap, a block of it
   */
  bitmapOf(group: number, totalBlocks: number): Buffer {
    const bitmap = Buffer.from(this.#used.subarray(group * BLOCK_BYTES, (group + 1) * BLOCK_BYTES));
    setBits(bitmap, Math.max(0, totalBlocks - group * BLOCKS_PER_GROUP), BLOCKS_PER_GROUP);
    return bitmap;
  }

  #passHead(): void {
    const group = Math.floor(this.#next / BLOCKS_PER_GROUP);
    const inGroup = this.#next % BLOCKS_PER_GROUP;
    if (inGroup < this.headBlocks && holdsSuperblock(group)) this.#next += this.headBlocks - inGroup;
  }

  #take(range: BlockRange): void {
    this.#mark(range);
    this.#next = range.first + range.count;
  }

  #mark({ first, count }: BlockRange): void {
    setBits(this.#used, first, first + count);
  }
}

/** Group 0, and with sparse_super the powers of 3, 5 and 7 (and 1, a power of each). */
export function holdsSuperblock(group: number): boolean {
  return group === 0 || [3, 5, 7].some(base => isPowerOf(base, group));
}

function isPowerOf(base: number, value: number): boolean {
  let power = 1;
  while (power < value) power *= base;
  return power === value;
}

/** Beyond the bitmap's end nothing is set. */
export function setBits(bitmap: Buffer, start: number, end: number): void {
  const last = Math.min(end, bitmap.length * 8);
  for (let bit = start; bit < last; ) {
    if (bit % 8 === 0 && bit + 8 <= last) {
      const bytes = Math.floor((last - bit) / 8);
      bitmap.fill(0xff, bit / 8, bit / 8 + bytes);
      bit += 8 * bytes;
    } else {
      const byte = bit >> 3;
      bitmap[byte] = (bitmap[byte] ?? 0) | (1 << (bit & 7));
      bit++;
    }
  }
}

/** How many bits are not set. */
export function countFree(bitmap: Buffer): number {
  let free = 0;
  for (const byte of bitmap) for (let bits = ~byte & 0xff; bits !== 0; bits &= bits - 1) free++;
  return free;
}
