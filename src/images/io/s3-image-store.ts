/**
 * Images in an S3-compatible store: `chunks/ab/abcdef…`, `manifests/DIGEST.json` (the signed manifest, one object, so that it is
 * there whole or not at all), `quarantine/`. Machines and sites are sent files, so what they ask for passes through a bounded
 * cache on the hub's disk; nothing enters it that is not what its digest says. One hub at a time may write to a bucket and prefix.
 */
import { z } from "zod";
import { DrpError } from "../../core/errors.ts";
import { storageError } from "../../core/storage-error.ts";
import {
  type ChunkDigest,
  chunkDigestSchema,
  type ImageDigest,
  imageDigestSchema,
  signatureSchema,
} from "../manifest.ts";
import { MAX_MANIFEST_BYTES, type SignedManifest } from "../signature.ts";
import { MAX_FRAME_BYTES } from "../zstd-frames.ts";
import type { ChunkCache } from "./chunk-cache.ts";
import { shardName } from "./chunk-store.ts";
import { damagedStore } from "./damaged-store.ts";
import type { CompactReport, ImageStore } from "./image-store.ts";
import { findFrameFault } from "./inspect-chunk.ts";
import type { S3Objects } from "./s3-objects.ts";

const keptManifestSchema = z.strictObject({ manifestText: z.string(), signature: signatureSchema });

export class S3ImageStore implements ImageStore {
  readonly #objects: S3Objects;
  readonly #cache: ChunkCache;
  readonly #cacheDir: string;
  /** Machines that want the same at the same moment share one request. */
  readonly #fetching = new Map<ChunkDigest, Promise<string | undefined>>();

  constructor(objects: S3Objects, cache: ChunkCache, cacheDir: string) {
    this.#objects = objects;
    this.#cache = cache;
    this.#cacheDir = cacheDir;
  }

  get location(): string {
    return this.#objects.location;
  }

  async hasChunk(digest: ChunkDigest): Promise<boolean> {
    return (await this.frameSize(digest)) !== undefined;
  }

  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    const cached = this.#cache.find(digest);
    if (cached !== undefined) return cached;
    let fetching = this.#fetching.get(digest);
    if (fetching === undefined) {
      fetching = this.#fetchChunk(digest).finally(() => this.#fetching.delete(digest));
      this.#fetching.set(digest, fetching);
    }
    return await fetching;
  }

  async frameSize(digest: ChunkDigest): Promise<number | undefined> {
    return await this.#objects.size(chunkKey(digest));
  }

  async readChunk(digest: ChunkDigest): Promise<Buffer | undefined> {
    const frame = await this.#objects.get(chunkKey(digest), MAX_FRAME_BYTES);
    if (frame !== undefined) await this.#cache.dropUnless(digest, frame);
    return frame;
  }

  async writeChunk(digest: ChunkDigest, frame: Uint8Array): Promise<void> {
    await this.#objects.put(chunkKey(digest), frame);
  }

  /** An object is durable when its store says that it has it. */
  async syncChunks(): Promise<void> {}

  async removeChunk(digest: ChunkDigest): Promise<boolean> {
    await this.#objects.delete(chunkKey(digest));
    await this.#cache.drop(digest);
    return true;
  }

  /** Copied within the store: what came over the network may not be what it holds. */
  async quarantineChunk(digest: ChunkDigest): Promise<string> {
    const kept = `quarantine/${digest}`;
    await this.#objects.copy(chunkKey(digest), kept);
    await this.removeChunk(digest);
    return `${this.location}/${kept}`;
  }

  async listChunks(shard: number): Promise<ChunkDigest[]> {
    const start = `chunks/${shardName(shard)}/`;
    const keys = await this.#objects.list(start);
    return keys
      .map(key => key.slice(start.length))
      .filter(digest => chunkDigestSchema.safeParse(digest).success);
  }

  async readManifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    // JSON in JSON: quotes are escaped.
    const content = await this.#objects.get(manifestKey(digest), 2 * MAX_MANIFEST_BYTES);
    if (content === undefined) return undefined;
    try {
      return keptManifestSchema.parse(JSON.parse(content.toString("utf8")));
    } catch (cause) {
      throw damagedStore(`${this.location}/${manifestKey(digest)} is no manifest`, cause);
    }
  }

  async publishManifest(digest: ImageDigest, { manifestText, signature }: SignedManifest): Promise<void> {
    await this.#objects.put(manifestKey(digest), Buffer.from(JSON.stringify({ manifestText, signature })));
  }

  async removeManifest(digest: ImageDigest): Promise<void> {
    await this.#objects.delete(manifestKey(digest));
  }

  async listManifests(): Promise<ImageDigest[]> {
    const keys = await this.#objects.list("manifests/");
    return keys
      .map(key => key.replace(/^manifests\/(.*)\.json$/, "sha256:$1"))
      .filter(digest => imageDigestSchema.safeParse(digest).success);
  }

  /** Every image is kept chunk by chunk here. */
  async *findRottenDeltas(): AsyncGenerator<never, void, void> {}

  async compact(): Promise<CompactReport> {
    return { encoded: 0, restored: 0, refused: 0 };
  }

  async #fetchChunk(digest: ChunkDigest): Promise<string | undefined> {
    const key = chunkKey(digest);
    const frame = await this.#objects.get(key, MAX_FRAME_BYTES);
    if (frame === undefined) return undefined;
    const fault = await findFrameFault(digest, frame);
    if (fault !== undefined) {
      throw damagedStore(`${this.location}/${key}: what the store answers ${fault}`);
    }
    try {
      return await this.#cache.put(digest, frame);
    } catch (cause) {
      throw cause instanceof DrpError ? cause : storageError(this.#cacheDir, cause);
    }
  }
}

function chunkKey(digest: ChunkDigest): string {
  return `chunks/${digest.slice(0, 2)}/${chunkDigestSchema.parse(digest)}`;
}

function manifestKey(digest: ImageDigest): string {
  return `manifests/${imageDigestSchema.parse(digest).slice("sha256:".length)}.json`;
}
