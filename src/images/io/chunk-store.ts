/** Chunks on disk, each once, by the digest of its plain bytes: `ab/abcdef…` holds one zstd frame. Who needs them is not known here. */
import { access, mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ChunkDigest } from "../manifest.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";

const DIGEST = /^[0-9a-f]{64}$/;
/** By the first byte of the digest, so that no listing holds more than a 256th of all chunks. */
export const SHARDS = 256;

export class ChunkStore {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes the folder and its 256 shards where missing, and clears what a crash left half-written. */
  static async open(dir: string): Promise<ChunkStore> {
    for (let shard = 0; shard < SHARDS; shard++) {
      await mkdir(join(dir, shardName(shard)), { recursive: true });
    }
    await syncDirectory(dir);
    await removeUnfinished(dir);
    return new ChunkStore(dir);
  }

  path(digest: ChunkDigest): string {
    if (!DIGEST.test(digest)) throw new RangeError(`not a chunk digest: ${digest}`);
    return join(this.#dir, digest.slice(0, 2), digest);
  }

  async has(digest: ChunkDigest): Promise<boolean> {
    try {
      await access(this.path(digest));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  /** Safe on disk under its name once `sync` has run for it as well. */
  async write(digest: ChunkDigest, frame: Uint8Array): Promise<void> {
    await writeWhole(this.path(digest), frame);
  }

  /** Makes the names of these chunks durable: one fsync for each folder that holds any. */
  async sync(digests: Iterable<ChunkDigest>): Promise<void> {
    const shards = new Set(Array.from(digests, digest => dirname(this.path(digest))));
    await Promise.all(Array.from(shards, syncDirectory));
  }

  /** @param shard first byte of the digests: each 1/256 of them is a folder */
  async list(shard: number): Promise<ChunkDigest[]> {
    const names = await readdir(join(this.#dir, shardName(shard)));
    return names.filter(name => DIGEST.test(name));
  }

  async remove(digest: ChunkDigest): Promise<void> {
    await rm(this.path(digest), { force: true });
  }
}

/** 10 → "0a" */
export function shardName(shard: number): string {
  return shard.toString(16).padStart(2, "0");
}
