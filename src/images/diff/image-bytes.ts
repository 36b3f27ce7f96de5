/** The bytes of an image by their offset, out of its chunks, of which the last ones used are kept. */
import { DecodeError } from "../../core/errors.ts";
import { chunkLength } from "../chunker.ts";
import type { ImageReader } from "../image-reader.ts";
import { CHUNK_BYTES, type ChunkDigest } from "../manifest.ts";

/** 48 MiB: the inode tables of a large system, and the files that lie near each other. */
const KEPT_CHUNKS = 48;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export class ImageBytes {
  readonly sizeBytes: number;
  readonly #reader: ImageReader;
  readonly #breathe: () => Promise<void>;
  /** The one that was used longest ago comes first. */
  readonly #kept = new Map<number, Promise<Buffer>>();

  /** @param breathe awaited before each read: lets others have their turn, and throws when nobody waits for the answer */
  constructor(reader: ImageReader, breathe: () => Promise<void>) {
    this.sizeBytes = reader.payload.sizeBytes;
    this.#reader = reader;
    this.#breathe = breathe;
  }

  /** Null: zeros. */
  digestAt(offset: number): ChunkDigest | null {
    return this.#reader.payload.chunks[Math.floor(offset / CHUNK_BYTES)] ?? null;
  }

  /** @returns exactly `length` bytes, shared with others: only to be read */
  readonly read = async (offset: number, length: number): Promise<Buffer> => {
    if (offset < 0 || offset + length > this.sizeBytes) {
      throw new DecodeError(`${length} bytes at byte ${offset} are beyond the image's ${this.sizeBytes}`);
    }
    await this.#breathe();
    const first = Math.floor(offset / CHUNK_BYTES);
    const last = Math.floor((offset + Math.max(0, length - 1)) / CHUNK_BYTES);
    const within = offset - first * CHUNK_BYTES;
    if (first === last) return (await this.#chunk(first)).subarray(within, within + length);
    const parts: Buffer[] = [];
    for (let index = first; index <= last; index++) {
      const start = index === first ? within : 0;
      const end = index === last ? offset + length - last * CHUNK_BYTES : CHUNK_BYTES;
      parts.push((await this.#chunk(index)).subarray(start, end));
    }
    return Buffer.concat(parts);
  };

  async #chunk(index: number): Promise<Buffer> {
    const kept = this.#kept.get(index) ?? this.#load(index);
    this.#kept.delete(index);
    this.#kept.set(index, kept);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_CHUNKS) break;
      this.#kept.delete(oldest);
    }
    return await kept;
  }

  async #load(index: number): Promise<Buffer> {
    const length = chunkLength(this.#reader.payload, index);
    return (await this.#reader.readChunk(index)) ?? ZEROS.subarray(0, length);
  }
}
