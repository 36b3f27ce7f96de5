/**
 * Rebuilds a new image from an old one and a delta. Nothing that comes out is believed: each chunk is compared with the digest of the
 * signed manifest before anybody sees it, so that a wrong delta, a rotten old image and a fault of ours end the same way.
 */
import { DecodeError, DrpError } from "../../core/errors.ts";
import { chunkLength } from "../chunker.ts";
import { chunkDigest } from "../digest.ts";
import type { ImageReader } from "../image-reader.ts";
import type { Payload } from "../manifest.ts";
import type { DeltaCodec } from "./codec.ts";
import { BLOCK_BYTES, BLOCKS_PER_CHUNK, blocksOfGroup, CHUNKS_PER_GROUP, countBlocks } from "./geometry.ts";
import { type BlockSource, decodeGroup, LITERAL } from "./group.ts";
import type { GroupPlace } from "./header.ts";
import { RecentChunks } from "./recent-chunks.ts";

export interface RebuiltChunk {
  /** In the new image. */
  readonly index: number;
  /** Checked; null for a chunk that was signed as zeros. Memory of its own, which the consumer may keep. */
  readonly bytes: Buffer | null;
}

/** Old chunks in memory, a megabyte each: a dictionary and the copies of a group seldom come from more places at once. */
const OLD_CHUNKS_KEPT = 8;

export class DeltaDecoder {
  readonly #old: RecentChunks;
  readonly #oldBlocks: number;
  readonly #to: Payload;
  readonly #codec: DeltaCodec;

  constructor(from: ImageReader, to: Payload, codec: DeltaCodec) {
    this.#old = new RecentChunks(from, OLD_CHUNKS_KEPT);
    this.#oldBlocks = countBlocks(from.payload);
    this.#to = to;
    this.#codec = codec;
  }

  /**
   * @param bytes of the whole group
   * @param place of the group in the delta, for messages
   * @throws {DecodeError} the group breaks the format
   * @throws {DrpError} bundle.tampered naming chunk and offset: what comes out is not what was signed
   * @throws what reading the old image throws
   */
  async *decode(group: number, bytes: Uint8Array, place: GroupPlace): AsyncGenerator<RebuiltChunk> {
    const blocks = blocksOfGroup(this.#to, group);
    const plan = decodeGroup(bytes, blocks, this.#oldBlocks, place.offsetBytes);
    const literalBlocks = plan.sources.filter(source => source === LITERAL).length;
    const literals =
      literalBlocks === 0
        ? Buffer.alloc(0)
        : await this.#inflate(
            plan.frame,
            await this.#old.copyRanges(plan.dictionary),
            literalBlocks * BLOCK_BYTES,
            place,
          );
    let taken = 0;
    for (let at = 0; at < blocks; at += BLOCKS_PER_CHUNK) {
      const sources = plan.sources.slice(at, at + BLOCKS_PER_CHUNK);
      const index = group * CHUNKS_PER_GROUP + at / BLOCKS_PER_CHUNK;
      yield { index, bytes: await this.#rebuild(index, sources, literals.subarray(taken), place) };
      taken += sources.filter(source => source === LITERAL).length * BLOCK_BYTES;
    }
  }

  async #inflate(
    frame: Uint8Array,
    dictionary: Uint8Array,
    lengthBytes: number,
    place: GroupPlace,
  ): Promise<Buffer> {
    const where = `of the group at offset ${place.offsetBytes}`;
    let literals: Buffer;
    try {
      literals = await this.#codec.decompress(frame, dictionary, lengthBytes);
    } catch (cause) {
      throw new DecodeError(`the delta's literals ${where} do not decompress`, { cause });
    }
    if (literals.length !== lengthBytes) {
      throw new DecodeError(
        `the delta's literals ${where} decompress to ${literals.length} bytes, not ${lengthBytes}`,
      );
    }
    return literals;
  }

  async #rebuild(
    index: number,
    sources: readonly BlockSource[],
    literals: Buffer,
    place: GroupPlace,
  ): Promise<Buffer | null> {
    const digest = this.#to.chunks[index] ?? null;
    if (digest === null) return null;
    const chunk = Buffer.alloc(chunkLength(this.#to, index));
    let taken = 0;
    for (const [position, source] of sources.entries()) {
      const at = position * BLOCK_BYTES;
      if (source >= 0) (await this.#old.block(source)).copy(chunk, at);
      else if (source === LITERAL) {
        literals.copy(chunk, at, taken, taken + BLOCK_BYTES);
        taken += BLOCK_BYTES;
      }
    }
    if (chunkDigest(chunk) !== digest) throw wrongChunk(this.#to, index, place);
    return chunk;
  }
}

function wrongChunk(to: Payload, index: number, place: GroupPlace): DrpError {
  const offsetBytes = index * to.chunkBytes;
  return new DrpError(
    "bundle.tampered",
    `chunk ${index} of ${to.name} (offset ${offsetBytes}), rebuilt from the delta's group at offset ${place.offsetBytes}, is not the one that was signed`,
    {
      advice: "Fetch the whole image; check the older image's chunks and the delta's copy.",
      facts: { payload: to.name, chunk: index, offsetBytes, deltaOffsetBytes: place.offsetBytes },
    },
  );
}
