/**
 * The images on a site's disk: manifests, and chunks that are shared between them. A chunk is compared with its digest before
 * it is kept and, as disks rot, before it is served or built on; one that is not itself any more is removed.
 */
import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, EpochMs } from "../../../core/time.ts";
import { listChunks } from "../../../images/chunk-bitmap.ts";
import { chunkDigest, imageDigest } from "../../../images/digest.ts";
import { decodeChunk } from "../../../images/io/chunk-codec.ts";
import { ChunkStore, SHARDS } from "../../../images/io/chunk-store.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "../../../images/io/durable-files.ts";
import { findFrameFault } from "../../../images/io/inspect-chunk.ts";
import {
  type ChunkDigest,
  type ImageDigest,
  imageDigestSchema,
  type Manifest,
  manifestSchema,
} from "../../../images/manifest.ts";
import { type SignedManifest, signedManifestSchema } from "../../protocol.ts";
import { type CachedImage, chooseEvictions } from "../choose-evictions.ts";

export interface KnownImage extends CachedImage {
  readonly signed: SignedManifest;
  readonly manifest: Manifest;
  /** NAME:VERSION */
  readonly name: string;
}

/** A chunk that was found whole is not read again for so long before it is served. */
const TRUSTED_MS = 60 * 60_000;

export class ImageCache {
  readonly folder: string;
  readonly #clock: Clock;
  readonly #chunks: ChunkStore;
  readonly #images = new Map<ImageDigest, KnownImage>();
  /** Chunk on disk → bytes of its frame. */
  readonly #sizes = new Map<ChunkDigest, number>();
  readonly #checkedAt = new Map<ChunkDigest, EpochMs>();
  /** Manifests and chunks whose files are going: whoever writes one anew waits for that. */
  readonly #removing = new Map<ImageDigest | ChunkDigest, Promise<void>>();
  /** What is being given up to make room. */
  #freeing: Promise<number> | undefined;
  #usedBytes = 0;

  private constructor(folder: string, clock: Clock, chunks: ChunkStore) {
    this.folder = folder;
    this.#clock = clock;
    this.#chunks = chunks;
  }

  /** Chunks that no manifest names are removed: an eviction was cut short. */
  static async open(folder: string, clock: Clock): Promise<ImageCache> {
    await mkdir(join(folder, "manifests"), { recursive: true });
    await removeUnfinished(join(folder, "manifests"));
    const cache = new ImageCache(folder, clock, await ChunkStore.open(join(folder, "chunks")));
    await cache.#load();
    return cache;
  }

  /** Of the chunks. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  image(digest: ImageDigest): KnownImage | undefined {
    return this.#images.get(digest);
  }

  /** Undefined when no image here names the chunk. */
  imagesWith(chunk: ChunkDigest): KnownImage[] {
    return [...this.#images.values()].filter(image => this.#chunkSet(image).has(chunk));
  }

  missingChunks(image: KnownImage): ChunkDigest[] {
    return image.chunks.filter(chunk => !this.#sizes.has(chunk));
  }

  /** Whole ones, those that were needed last first. */
  wholeImages(): KnownImage[] {
    return [...this.#images.values()]
      .filter(({ manifest }) =>
        manifest.payloads.every(({ chunks }) =>
          chunks.every(chunk => chunk === null || this.#sizes.has(chunk)),
        ),
      )
      .toSorted((a, b) => b.neededAt - a.neededAt);
  }

  /** @returns undefined for what is not this manifest. Whether it is signed rightly the machine decides. */
  async keepManifest(digest: ImageDigest, signed: SignedManifest): Promise<KnownImage | undefined> {
    const image = parseImage(digest, signed, this.#clock());
    if (image === undefined) return undefined;
    await this.#removing.get(digest);
    await writeWhole(this.#manifestPath(digest), JSON.stringify(signed));
    await syncDirectory(join(this.folder, "manifests"));
    this.#images.set(digest, image);
    return image;
  }

  /** It is needed now: images that are not go first when room is made. */
  async noteNeed(digest: ImageDigest): Promise<void> {
    const image = this.#images.get(digest);
    if (image === undefined) return;
    const neededAt = this.#clock();
    this.#images.set(digest, { ...image, neededAt });
    // The file's own time keeps it over a restart. One that is just being evicted is no loss.
    await utimes(this.#manifestPath(digest), neededAt / 1000, neededAt / 1000).catch(() => {});
  }

  /** @returns a file that holds the chunk's frame, which was whole within the last hour */
  async findChunk(chunk: ChunkDigest): Promise<string | undefined> {
    if (!this.#sizes.has(chunk)) return undefined;
    const path = this.#chunks.path(chunk);
    if (this.#clock() - (this.#checkedAt.get(chunk) ?? Number.NEGATIVE_INFINITY) < TRUSTED_MS) return path;
    const frame = await readFile(path).catch(() => Buffer.alloc(0));
    if (await this.#isRotten(chunk, frame)) return undefined;
    this.#checkedAt.set(chunk, this.#clock());
    return path;
  }

  /** @returns plain and checked; undefined for one that is not there, or was not itself any more */
  async readChunk(chunk: ChunkDigest, lengthBytes: number): Promise<Buffer | undefined> {
    if (!this.#sizes.has(chunk)) return undefined;
    const frame = await readFile(this.#chunks.path(chunk)).catch(() => Buffer.alloc(0));
    const bytes = await decodeChunk(frame, lengthBytes).catch(() => undefined);
    if (bytes !== undefined && chunkDigest(bytes) === chunk) return bytes;
    await this.removeChunk(chunk);
    return undefined;
  }

  hasChunk(chunk: ChunkDigest): boolean {
    return this.#sizes.has(chunk);
  }

  /** @param frame of exactly this chunk; whoever brings it has checked that @throws ENOSPC and the like */
  async writeChunk(chunk: ChunkDigest, frame: Uint8Array): Promise<void> {
    if (this.#sizes.has(chunk)) return;
    await this.#removing.get(chunk);
    await this.#chunks.write(chunk, frame);
    this.#usedBytes += frame.length - (this.#sizes.get(chunk) ?? 0);
    this.#sizes.set(chunk, frame.length);
    this.#checkedAt.set(chunk, this.#clock());
  }

  /** Makes them outlast a power cut. */
  async sync(chunks: Iterable<ChunkDigest>): Promise<void> {
    await this.#chunks.sync(chunks);
  }

  /** The file goes last: nobody may count on a chunk that is about to go. */
  async removeChunk(chunk: ChunkDigest): Promise<void> {
    this.#usedBytes -= this.#sizes.get(chunk) ?? 0;
    this.#sizes.delete(chunk);
    this.#checkedAt.delete(chunk);
    await this.#removeFile(chunk, () => this.#chunks.remove(chunk));
  }

  async #removeFile(digest: ImageDigest | ChunkDigest, remove: () => Promise<unknown>): Promise<void> {
    const before = this.#removing.get(digest);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removing.set(digest, promise);
    try {
      await before;
      await remove();
    } finally {
      if (this.#removing.get(digest) === promise) this.#removing.delete(digest);
      resolve();
    }
  }

  /** Gives up images that are not to be kept, oldest first. @returns how many */
  async free(freeBytes: number, keep: ReadonlySet<ImageDigest>): Promise<number> {
    // Whoever meets a full disk at the same moment waits for what is going already: in the index it is gone before its files are.
    const goingNow = (await this.#freeing) ?? 0;
    if (goingNow > 0) return goingNow;
    const freed = this.#evictOldest(freeBytes, keep);
    this.#freeing = freed;
    return await freed.finally(() => {
      if (this.#freeing === freed) this.#freeing = undefined;
    });
  }

  async #evictOldest(freeBytes: number, keep: ReadonlySet<ImageDigest>): Promise<number> {
    const images = [...this.#images.values()];
    const sizeOf = (chunk: ChunkDigest) => this.#sizes.get(chunk) ?? 0;
    const chosen = chooseEvictions(images, keep, sizeOf, freeBytes);
    for (const digest of chosen) await this.#evict(digest);
    return chosen.length;
  }

  /** The manifest goes first: what is left of its chunks after a crash is nobody's, and goes at the next start. */
  async #evict(digest: ImageDigest): Promise<void> {
    const image = this.#images.get(digest);
    if (image === undefined) return;
    this.#images.delete(digest);
    await this.#removeFile(digest, async () => {
      await rm(this.#manifestPath(digest), { force: true });
      await syncDirectory(join(this.folder, "manifests"));
    });
    for (const chunk of image.chunks) {
      // Asked anew for each: an image that is learned of meanwhile counts on what is still here.
      if (this.imagesWith(chunk).length === 0) await this.removeChunk(chunk);
    }
  }

  async #isRotten(chunk: ChunkDigest, frame: Buffer): Promise<boolean> {
    if ((await findFrameFault(chunk, frame)) === undefined) return false;
    await this.removeChunk(chunk);
    return true;
  }

  async #load(): Promise<void> {
    for (const name of await readdir(join(this.folder, "manifests"))) {
      const digest = `sha256:${name.replace(/\.json$/, "")}`;
      const path = join(this.folder, "manifests", name);
      const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
      const signed = signedManifestSchema.safeParse(parseJson(text));
      const image = signed.success ? parseImage(digest, signed.data, mtimeMs) : undefined;
      // One that rotted is fetched again when it is needed.
      if (image === undefined) await rm(path, { force: true });
      else this.#images.set(digest, image);
    }
    const named = new Set([...this.#images.values()].flatMap(({ chunks }) => chunks));
    for (let shard = 0; shard < SHARDS; shard++) {
      const chunks = await this.#chunks.list(shard);
      await Promise.all(
        chunks.map(async chunk => {
          const { size } = await stat(this.#chunks.path(chunk));
          this.#sizes.set(chunk, size);
          this.#usedBytes += size;
          if (!named.has(chunk)) await this.removeChunk(chunk);
        }),
      );
    }
  }

  readonly #chunkSets = new WeakMap<readonly ChunkDigest[], ReadonlySet<ChunkDigest>>();

  #chunkSet({ chunks }: KnownImage): ReadonlySet<ChunkDigest> {
    let set = this.#chunkSets.get(chunks);
    if (set === undefined) {
      set = new Set(chunks);
      this.#chunkSets.set(chunks, set);
    }
    return set;
  }

  #manifestPath(digest: ImageDigest): string {
    return join(this.folder, "manifests", `${imageDigestSchema.parse(digest).slice("sha256:".length)}.json`);
  }
}

function parseImage(digest: ImageDigest, signed: SignedManifest, neededAt: EpochMs): KnownImage | undefined {
  if (imageDigest(signed.manifestText) !== digest) return undefined;
  const parsed = manifestSchema.safeParse(parseJson(signed.manifestText));
  if (!parsed.success) return undefined;
  const manifest = parsed.data;
  const name = `${manifest.name}:${manifest.version}`;
  return { digest, signed, manifest, name, chunks: listChunks(manifest), neededAt };
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
