/** Chunks that something unfinished relies on: no sweep may take them. One that two rely on stays until both let go. */
import type { ChunkDigest } from "./manifest.ts";

export class ChunkPins {
  readonly #holders = new Map<ChunkDigest, number>();

  pin(chunks: Iterable<ChunkDigest>): void {
    for (const chunk of chunks) this.#holders.set(chunk, (this.#holders.get(chunk) ?? 0) + 1);
  }

  unpin(chunks: Iterable<ChunkDigest>): void {
    for (const chunk of chunks) {
      const holders = (this.#holders.get(chunk) ?? 0) - 1;
      if (holders > 0) this.#holders.set(chunk, holders);
      else this.#holders.delete(chunk);
    }
  }

  has(chunk: ChunkDigest): boolean {
    return this.#holders.has(chunk);
  }
}
