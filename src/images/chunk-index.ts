/** Which images need which chunks: 32 bytes a chunk and image, so that 100 images of 8 GiB take 26 MB. */
import type { ChunkDigest, ImageDigest } from "./manifest.ts";

const DIGEST_BYTES = 32;

export class ChunkIndex {
  /** Digests in rising order, one after the other. */
  readonly #packed = new Map<ImageDigest, Buffer>();

  add(image: ImageDigest, chunks: Iterable<ChunkDigest>): void {
    const digests = Array.from(new Set(chunks)).sort();
    this.#packed.set(image, Buffer.from(digests.join(""), "hex"));
  }

  delete(image: ImageDigest): void {
    this.#packed.delete(image);
  }

  hasImage(image: ImageDigest): boolean {
    return this.#packed.has(image);
  }

  /** False also for what is no digest. */
  isNeeded(chunk: ChunkDigest): boolean {
    return this.imagesWith(chunk).length > 0;
  }

  imagesWith(chunk: ChunkDigest): ImageDigest[] {
    const wanted = Buffer.from(chunk, "hex");
    if (wanted.length !== DIGEST_BYTES) return [];
    return Array.from(this.#packed)
      .filter(([, digests]) => holds(digests, wanted))
      .map(([image]) => image);
  }

  /** Of one image, each once, in rising order. */
  *chunksOf(image: ImageDigest): Generator<ChunkDigest, void, void> {
    const digests = this.#packed.get(image) ?? NONE;
    for (let at = 0; at < digests.length; at += DIGEST_BYTES) {
      yield digests.toString("hex", at, at + DIGEST_BYTES);
    }
  }

  /** Every chunk whose digest begins with the byte `shard`; one that two images need comes twice. */
  *chunksInShard(shard: number): Generator<readonly [ImageDigest, ChunkDigest], void, void> {
    for (const [image, digests] of this.#packed) {
      for (let at = 0; at < digests.length; at += DIGEST_BYTES) {
        if (digests[at] === shard) yield [image, digests.toString("hex", at, at + DIGEST_BYTES)];
      }
    }
  }
}

const NONE = Buffer.alloc(0);

/** Binary search. */
function holds(digests: Buffer, wanted: Buffer): boolean {
  let low = 0;
  let high = digests.length / DIGEST_BYTES;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * DIGEST_BYTES;
    const order = digests.compare(wanted, 0, DIGEST_BYTES, at, at + DIGEST_BYTES);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return false;
}
