/** Chunks on the disk that can be had again from elsewhere: a bounded number of bytes, the least used ones go first. */
import { readFile, stat } from "node:fs/promises";
import type { ChunkDigest } from "../manifest.ts";
import { ChunkStore, SHARDS } from "./chunk-store.ts";

export class ChunkCache {
  readonly #chunks: ChunkStore;
  readonly #capacityBytes: number;
  /** Sizes; the least recently used one comes first. */
  readonly #sizes = new Map<ChunkDigest, number>();
  #totalBytes = 0;

  private constructor(chunks: ChunkStore, capacityBytes: number) {
    this.#chunks = chunks;
    this.#capacityBytes = capacityBytes;
  }

  /** @param capacityBytes far more than is being sent at any moment: who was given a file is still to open it */
  static async open(dir: string, capacityBytes: number): Promise<ChunkCache> {
    const cache = new ChunkCache(await ChunkStore.open(dir), capacityBytes);
    const found: { digest: ChunkDigest; sizeBytes: number; usedMs: number }[] = [];
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const digest of await cache.#chunks.list(shard)) {
        const { size, mtimeMs } = await stat(cache.#chunks.path(digest));
        found.push({ digest, sizeBytes: size, usedMs: mtimeMs });
      }
    }
    found.sort((one, other) => one.usedMs - other.usedMs);
    for (const { digest, sizeBytes } of found) cache.#count(digest, sizeBytes);
    await cache.#makeRoom();
    return cache;
  }

  /** @returns the file of its frame */
  find(digest: ChunkDigest): string | undefined {
    const sizeBytes = this.#sizes.get(digest);
    if (sizeBytes === undefined) return undefined;
    this.#sizes.delete(digest);
    this.#sizes.set(digest, sizeBytes);
    return this.#chunks.path(digest);
  }

  /** @param frame checked by whoever brings it */
  async put(digest: ChunkDigest, frame: Uint8Array): Promise<string> {
    await this.#chunks.write(digest, frame);
    this.#forget(digest);
    this.#count(digest, frame.length);
    await this.#makeRoom();
    return this.#chunks.path(digest);
  }

  /** Lets a copy go that is not what it should be. */
  async dropUnless(digest: ChunkDigest, frame: Buffer): Promise<void> {
    const path = this.find(digest);
    if (path === undefined) return;
    const kept = await readFile(path).catch(() => undefined);
    if (kept?.equals(frame) !== true) await this.drop(digest);
  }

  async drop(digest: ChunkDigest): Promise<void> {
    this.#forget(digest);
    await this.#chunks.remove(digest);
  }

  #count(digest: ChunkDigest, sizeBytes: number): void {
    this.#sizes.set(digest, sizeBytes);
    this.#totalBytes += sizeBytes;
  }

  #forget(digest: ChunkDigest): void {
    this.#totalBytes -= this.#sizes.get(digest) ?? 0;
    this.#sizes.delete(digest);
  }

  async #makeRoom(): Promise<void> {
    for (const digest of this.#sizes.keys()) {
      if (this.#totalBytes <= this.#capacityBytes) return;
      await this.drop(digest);
    }
  }
}
