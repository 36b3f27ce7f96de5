/** Keeps the chunks of an image that were read last, so that blocks beside each other are not decompressed again. */

import { CHUNK_BYTES } from "../chunk-bytes.ts";
import type { ImageReader } from "../image-reader.ts";
import { BLOCK_BYTES, BLOCKS_PER_CHUNK } from "./geometry.ts";
import type { BlockRange } from "./group.ts";

const ZEROS = Buffer.alloc(CHUNK_BYTES);

export class RecentChunks {
  readonly #reader: ImageReader;
  readonly #limit: number;
  readonly #chunks = new Map<number, Buffer>();

  /** @param limit chunks of memory */
  constructor(reader: ImageReader, limit: number) {
    this.#reader = reader;
    this.#limit = limit;
  }

  /** @param index of a chunk that the image has; @throws what the reader throws */
  async chunk(index: number): Promise<Buffer> {
    const known = this.#chunks.get(index);
    if (known !== undefined) {
      // Last in the map's order: the first is the one that nobody has wanted for longest.
      this.#chunks.delete(index);
      this.#chunks.set(index, known);
      return known;
    }
    const chunk = (await this.#reader.readChunk(index)) ?? ZEROS;
    this.#chunks.set(index, chunk);
    const [eldest] = this.#chunks.keys();
    if (eldest !== undefined && this.#chunks.size > this.#limit) this.#chunks.delete(eldest);
    return chunk;
  }

  /** @returns a view: valid as long as nobody writes to the image's chunks */
  async block(block: number): Promise<Buffer> {
    const at = (block % BLOCKS_PER_CHUNK) * BLOCK_BYTES;
    return (await this.chunk(Math.floor(block / BLOCKS_PER_CHUNK))).subarray(at, at + BLOCK_BYTES);
  }

  /** The bytes of all ranges, one after the other. */
  async copyRanges(ranges: readonly BlockRange[]): Promise<Buffer> {
    const total = ranges.reduce((sum, { count }) => sum + count, 0);
    const bytes = Buffer.allocUnsafe(total * BLOCK_BYTES);
    let filled = 0;
    for (const { first, count } of ranges) {
      for (let block = first; block < first + count; block++) {
        filled += (await this.block(block)).copy(bytes, filled);
      }
    }
    return bytes;
  }
}
