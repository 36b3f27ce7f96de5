/**
 * Looks at every byte that a store keeps: what has rotted is taken out of use, what no image needs is removed, and the images
 * that lack something are named. Works beside everything else: one chunk in memory, and the disk left alone half of the time.
 */
import { setTimeout } from "node:timers/promises";
import type { ChunkIndex } from "../chunk-index.ts";
import type { ChunkDigest, ImageDigest } from "../manifest.ts";
import { SHARDS } from "./chunk-store.ts";
import type { ImageStore } from "./image-store.ts";
import { inspectChunk } from "./inspect-chunk.ts";

export interface ScrubProgress {
  readonly checkedChunks: number;
  /** As kept: compressed. */
  readonly checkedBytes: number;
  /** 0 to 1. */
  readonly share: number;
}

export type ScrubFinding =
  /** Its bytes are moved to `keptAt`; it counts as missing from now on. */
  | {
      readonly kind: "rotten-chunk";
      readonly chunk: ChunkDigest;
      /** Follows "it". */
      readonly fault: string;
      readonly keptAt: string;
    }
  /** What needs it cannot be installed where it is not held yet. A second push of the same bundle mends it. */
  | {
      readonly kind: "incomplete-image";
      readonly image: ImageDigest;
      readonly missingChunks: number;
    }
  /** The image was kept as a delta, which cannot be read; moved to `keptAt` unless what it is over is to blame. */
  | {
      readonly kind: "rotten-delta";
      readonly image: ImageDigest;
      /** Follows "it". */
      readonly fault: string;
      readonly keptAt: string | null;
    }
  /** Nobody sees the image. A second push of the same bundle mends it. */
  | { readonly kind: "damaged-manifest"; readonly image: ImageDigest; readonly fault: string };

export interface ScrubReport extends ScrubProgress {
  /** What a crash had left of unfinished uploads. */
  readonly removedOrphans: number;
  readonly rottenChunks: number;
  readonly damagedImages: number;
}

export interface ScrubDeps {
  readonly store: ImageStore;
  readonly index: ChunkIndex;
  /** @returns what is wrong with the manifest; undefined: nothing */
  readonly findManifestFault: (image: ImageDigest) => Promise<string | undefined>;
  /** Removes it unless somebody needs it by now. @returns whether it did */
  readonly removeOrphan: (chunk: ChunkDigest) => Promise<boolean>;
  /** @returns where its bytes are now; undefined when it is sound by now, or gone */
  readonly quarantine: (chunk: ChunkDigest) => Promise<string | undefined>;
  readonly onProgress: (progress: ScrubProgress) => void;
  readonly onFinding: (finding: ScrubFinding) => Promise<void>;
  /** Ends it after the chunk in hand. */
  readonly signal: AbortSignal;
}

export async function scrubStore(deps: ScrubDeps): Promise<ScrubReport> {
  const scrub = new Scrub(deps);
  await scrub.checkManifests();
  for (let shard = 0; shard < SHARDS; shard++) await scrub.checkShard(shard);
  await scrub.checkDeltas();
  return await scrub.report();
}

class Scrub {
  readonly #deps: ScrubDeps;
  readonly #missing = new Map<ImageDigest, number>();
  #checkedChunks = 0;
  #checkedBytes = 0;
  #removedOrphans = 0;
  #rottenChunks = 0;
  #damagedManifests = 0;

  constructor(deps: ScrubDeps) {
    this.#deps = deps;
  }

  async checkManifests(): Promise<void> {
    const { store, signal, findManifestFault, onFinding } = this.#deps;
    for (const image of await store.listManifests()) {
      signal.throwIfAborted();
      const fault = await findManifestFault(image);
      if (fault === undefined) continue;
      this.#damagedManifests++;
      await onFinding({ kind: "damaged-manifest", image, fault });
    }
  }

  async checkShard(shard: number): Promise<void> {
    const { store, index, signal, onProgress } = this.#deps;
    const listed = await store.listChunks(shard);
    const sound = new Set<ChunkDigest>();
    for (const [position, chunk] of listed.entries()) {
      signal.throwIfAborted();
      const beganAt = performance.now();
      if (await this.#isSound(chunk)) sound.add(chunk);
      onProgress(this.#progress((shard + position / listed.length) / SHARDS));
      await setTimeout(performance.now() - beganAt, undefined, { signal });
    }
    for (const [image, chunk] of index.chunksInShard(shard)) {
      // One that came after the listing is no loss.
      if (sound.has(chunk) || (await store.hasChunk(chunk))) continue;
      this.#missing.set(image, (this.#missing.get(image) ?? 0) + 1);
    }
    onProgress(this.#progress((shard + 1) / SHARDS));
  }

  /** After the chunks: what a delta is over is sound by then, or known not to be. */
  async checkDeltas(): Promise<void> {
    const { store, index, signal, onFinding } = this.#deps;
    for await (const rotten of store.findRottenDeltas(signal)) {
      await onFinding({ kind: "rotten-delta", ...rotten });
      let missing = 0;
      for (const chunk of index.chunksOf(rotten.image)) if (!(await store.hasChunk(chunk))) missing++;
      this.#missing.set(rotten.image, missing);
    }
  }

  async report(): Promise<ScrubReport> {
    for (const [image, missingChunks] of this.#missing) {
      await this.#deps.onFinding({ kind: "incomplete-image", image, missingChunks });
    }
    return {
      ...this.#progress(1),
      removedOrphans: this.#removedOrphans,
      rottenChunks: this.#rottenChunks,
      damagedImages: this.#missing.size + this.#damagedManifests,
    };
  }

  async #isSound(chunk: ChunkDigest): Promise<boolean> {
    const { store, quarantine, onFinding } = this.#deps;
    if (await this.#removeIfOrphan(chunk)) return false;
    const inspected = await inspectChunk(store, chunk);
    if (inspected === undefined) return false;
    this.#checkedChunks++;
    this.#checkedBytes += inspected.sizeBytes;
    const { fault } = inspected;
    if (fault === undefined) return true;
    const keptAt = await quarantine(chunk);
    if (keptAt === undefined) return false;
    this.#rottenChunks++;
    await onFinding({ kind: "rotten-chunk", chunk, fault, keptAt });
    return false;
  }

  /** What a manifest needs that cannot be read is not known: then nothing counts as an orphan. */
  async #removeIfOrphan(chunk: ChunkDigest): Promise<boolean> {
    const { index, removeOrphan } = this.#deps;
    if (this.#damagedManifests > 0 || index.isNeeded(chunk) || !(await removeOrphan(chunk))) return false;
    this.#removedOrphans++;
    return true;
  }

  #progress(share: number): ScrubProgress {
    return { checkedChunks: this.#checkedChunks, checkedBytes: this.#checkedBytes, share };
  }
}
