/**
 * Finds where the blocks of a new image lie in an old one. A block that continues the copy before it is taken first, so that runs
 * are long and dictionaries of literals beside them lie where the old form of the same file lies.
 */
import type { ImageReader } from "../image-reader.ts";
import type { ChunkDigest } from "../manifest.ts";
import { BlockIndex } from "./block-index.ts";
import type { DeltaCodec } from "./codec.ts";
import {
  BLOCK_BYTES,
  BLOCKS_PER_CHUNK,
  BLOCKS_PER_GROUP,
  blocksOfGroup,
  CHUNKS_PER_GROUP,
  countBlocks,
} from "./geometry.ts";
import { type BlockSource, LITERAL, ZERO } from "./group.ts";
import { RecentChunks } from "./recent-chunks.ts";

export interface MatchedGroup {
  readonly firstBlock: number;
  readonly sources: readonly BlockSource[];
  /** The blocks whose source is LITERAL, one after the other. */
  readonly literals: Buffer;
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** A moved file is read beside its neighbours; beyond that, each chunk costs a megabyte of memory. */
const OLD_CHUNKS_KEPT = 3;

export class BlockMatcher {
  readonly #from: ImageReader;
  readonly #to: ImageReader;
  readonly #codec: DeltaCodec;
  readonly #old: RecentChunks;
  readonly #oldBlocks: number;
  readonly #index: BlockIndex;
  /** The first chunk of the old image with this content. */
  readonly #oldChunks = new Map<ChunkDigest, number>();
  /** The old block that would continue the copy before; undefined before the first copy. */
  #next: number | undefined;

  private constructor(from: ImageReader, to: ImageReader, codec: DeltaCodec) {
    this.#from = from;
    this.#to = to;
    this.#codec = codec;
    this.#old = new RecentChunks(from, OLD_CHUNKS_KEPT);
    this.#oldBlocks = countBlocks(from.payload);
    const contents = new Set(from.payload.chunks.filter(digest => digest !== null));
    this.#index = new BlockIndex(contents.size * BLOCKS_PER_CHUNK);
  }

  /** Reads the whole old image once. @param onChunk after each chunk of it, zeros included */
  static async open(
    from: ImageReader,
    to: ImageReader,
    codec: DeltaCodec,
    onChunk: () => void,
  ): Promise<BlockMatcher> {
    const matcher = new BlockMatcher(from, to, codec);
    for (const [index, digest] of from.payload.chunks.entries()) {
      if (digest !== null && !matcher.#oldChunks.has(digest)) {
        matcher.#oldChunks.set(digest, index);
        matcher.#indexChunk(index, (await from.readChunk(index)) ?? Buffer.alloc(0));
      }
      onChunk();
    }
    return matcher;
  }

  /** The old image's bytes, for dictionaries. */
  get old(): RecentChunks {
    return this.#old;
  }

  async match(group: number): Promise<MatchedGroup> {
    const sources: BlockSource[] = [];
    const literals: Buffer[] = [];
    const blocks = blocksOfGroup(this.#to.payload, group);
    for (let chunk = group * CHUNKS_PER_GROUP; sources.length < blocks; chunk++) {
      const count = Math.min(BLOCKS_PER_CHUNK, blocks - sources.length);
      const twin = this.#findTwin(chunk);
      if (twin !== undefined) {
        for (let index = 0; index < count; index++) sources.push(twin + index);
        this.#next = twin + count;
        continue;
      }
      const bytes = this.#to.payload.chunks[chunk] === null ? null : await this.#to.readChunk(chunk);
      if (bytes === null) for (let index = 0; index < count; index++) sources.push(ZERO);
      else await this.#matchChunk(bytes, sources, literals);
    }
    return { firstBlock: group * BLOCKS_PER_GROUP, sources, literals: Buffer.concat(literals) };
  }

  #indexChunk(index: number, chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += BLOCK_BYTES) {
      const block = chunk.subarray(at, at + BLOCK_BYTES);
      if (block.equals(ZERO_BLOCK)) continue;
      this.#index.add(this.#codec.hashBlock(block), index * BLOCKS_PER_CHUNK + at / BLOCK_BYTES);
    }
  }

  /** The first block of an old chunk with the same digest: nothing of it has to be read. */
  #findTwin(chunk: number): number | undefined {
    const digest = this.#to.payload.chunks[chunk] ?? null;
    if (digest === null) return undefined;
    const inPlace = this.#from.payload.chunks[chunk] === digest ? chunk : undefined;
    const twin = inPlace ?? this.#oldChunks.get(digest);
    return twin === undefined ? undefined : twin * BLOCKS_PER_CHUNK;
  }

  async #matchChunk(chunk: Buffer, sources: BlockSource[], literals: Buffer[]): Promise<void> {
    const start = sources.length;
    for (let at = 0; at < chunk.length; at += BLOCK_BYTES) {
      const block = chunk.subarray(at, at + BLOCK_BYTES);
      if (block.equals(ZERO_BLOCK)) {
        sources.push(ZERO);
        continue;
      }
      const source = await this.#findBlock(block);
      if (source === undefined) {
        sources.push(LITERAL);
        literals.push(block);
        continue;
      }
      if (source !== this.#next) await this.#extendBack(chunk, start, source, sources, literals);
      sources.push(source);
      this.#next = source + 1;
    }
  }

  async #findBlock(block: Buffer): Promise<number | undefined> {
    if (this.#next !== undefined && (await this.#isOld(block, this.#next))) return this.#next;
    const candidate = this.#index.find(this.#codec.hashBlock(block));
    return candidate !== undefined && (await this.#isOld(block, candidate)) ? candidate : undefined;
  }

  /** Blocks before a match that the index has left out: it does not hold all of a large image. */
  async #extendBack(
    chunk: Buffer,
    start: number,
    source: number,
    sources: BlockSource[],
    literals: Buffer[],
  ): Promise<void> {
    const end = sources.length;
    for (let back = 1; back <= end - start && sources[end - back] === LITERAL; back++) {
      const at = (end - back - start) * BLOCK_BYTES;
      if (!(await this.#isOld(chunk.subarray(at, at + BLOCK_BYTES), source - back))) return;
      sources[end - back] = source - back;
      literals.pop();
    }
  }

  async #isOld(block: Buffer, old: number): Promise<boolean> {
    if (old < 0 || old >= this.#oldBlocks) return false;
    return block.equals(await this.#old.block(old));
  }
}
