/** What removing images gives back: a chunk counts once, and only when no image that stays has it. */
import { chunkLength } from "./chunker.ts";
import type { ChunkDigest, Manifest } from "./manifest.ts";

/** Of plain bytes; on disk they are compressed. Manifests may come one after another, so that not all are in memory. */
export class FreedBytes {
  readonly #chunks = new Map<ChunkDigest, number>();

  addRemoved({ payloads, attachments }: Manifest): void {
    for (const part of [...payloads, ...attachments]) {
      for (const [index, digest] of part.chunks.entries()) {
        if (digest !== null) this.#chunks.set(digest, chunkLength(part, index));
      }
    }
  }

  /** Only after every removed one. */
  subtractKept({ payloads, attachments }: Manifest): void {
    for (const { chunks } of [...payloads, ...attachments]) {
      for (const digest of chunks) if (digest !== null) this.#chunks.delete(digest);
    }
  }

  get total(): number {
    return this.#chunks.values().reduce((sum, bytes) => sum + bytes, 0);
  }
}
