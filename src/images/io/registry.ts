/** Where the hub keeps images: each chunk once, a manifest visible only when every chunk of it is safe. */
import { readFile, statfs } from "node:fs/promises";
import type { Readable } from "node:stream";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import { storageError } from "../../core/storage-error.ts";
import { ChunkIndex } from "../chunk-index.ts";
import { ChunkPins } from "../chunk-pins.ts";
import { chunkLength, countDataBytes } from "../chunker.ts";
import { imageDigest } from "../digest.ts";
import type { ImageReader } from "../image-reader.ts";
import type { TrustedKey } from "../keys.ts";
import {
  type ChunkDigest,
  chunkDigestSchema,
  type ImageDigest,
  type Manifest,
  manifestSchema,
} from "../manifest.ts";
import type { HistoryImage } from "../plan-history.ts";
import type { SignedManifest } from "../signature.ts";
import type { ImageStoreSettings } from "../store-settings.ts";
import { type BundledChunk, BundleReader } from "./bundle-reader.ts";
import { decodeChunk } from "./chunk-codec.ts";
import { damagedStore } from "./damaged-store.ts";
import { readManifestText } from "./image-history.ts";
import type { CompactReport, ImageStore, MakeDelta } from "./image-store.ts";
import { inspectChunk } from "./inspect-chunk.ts";
import { openImageStore } from "./open-image-store.ts";
import { type ScrubFinding, type ScrubProgress, type ScrubReport, scrubStore } from "./scrub.ts";
import { TaskWindow } from "./task-window.ts";
import type { UploadTarget } from "./uploads.ts";
import { CHUNKS_AT_ONCE, type IngestProgress, keepChunk, writeBundleChunks } from "./write-bundle-chunks.ts";

export interface IngestedImage {
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
  /** True when the image was there before, with all its chunks; nothing was written then. */
  readonly alreadyPresent: boolean;
  /** How many chunks it had lost and has got again; 0 for an image that was not there. */
  readonly repairedChunks: number;
  /** Of the raw image without its zero chunks. */
  readonly dataBytes: number;
  /** Which trusted key signed it. */
  readonly keyId: string;
}

export interface ImageRegistry {
  /**
   * Reads a bundle to its end. The stream is never destroyed here, so that an HTTP server can still answer: after an
   * error it is paused with its rest unread, and the caller closes or drains it.
   *
   * @throws {DrpError} bundle.truncated, bundle.malformed, bundle.tampered, signature.rejected, version.unsupported,
   *   storage.full, storage.unreachable, storage.damaged; nothing of the bundle is visible then
   */
  ingestBundle(
    bundle: Readable,
    trustedKeys: readonly TrustedKey[],
    options?: { readonly onProgress?: (progress: IngestProgress) => void },
  ): Promise<IngestedImage>;
  /** @throws {DrpError} storage.damaged: it is there, but not as it was signed */
  manifest(digest: ImageDigest): Promise<SignedManifest | undefined>;
  /** @returns a local file that holds the chunk's zstd frame; undefined when no image here needs it, or it is lost */
  findChunk(digest: ChunkDigest): Promise<string | undefined>;
  /** @returns bytes of the chunk's frame; undefined: it is lost, or kept in a delta only. Fetches and rebuilds nothing */
  frameSize(digest: ChunkDigest): Promise<number | undefined>;
  /** @returns undefined when there is no such image */
  openImage(digest: ImageDigest): Promise<ImageReader | undefined>;
  /**
   * @param isStillUnneeded asked when nothing else can be published or removed any more: a push may have found it meanwhile
   * @returns false when there is no such image, or it stays
   */
  remove(digest: ImageDigest, isStillUnneeded?: () => Promise<boolean>): Promise<boolean>;
  /**
   * For a push that has entered the image into the books: from then on `remove` sees that.
   *
   * @param takeBack called when the image was removed at the same moment, before anybody can publish it anew
   * @returns whether the image is visible
   */
  confirm(digest: ImageDigest, takeBack: () => Promise<void>): Promise<boolean>;
  /** All that are visible. */
  images(): Promise<ImageDigest[]>;
  /** Checks everything that is kept; one at a time. @throws when the signal is aborted, and what the store throws */
  scrub(options: {
    readonly onProgress?: (progress: ScrubProgress) => void;
    readonly onFinding?: (finding: ScrubFinding) => Promise<void>;
    readonly signal?: AbortSignal;
  }): Promise<ScrubReport>;
  /** Keeps old images as deltas, and those that are needed again whole; as `ImageStore.compact`. */
  compact(images: readonly HistoryImage[], make: MakeDelta, signal: AbortSignal): Promise<CompactReport>;
}

/**
 * In a folder of this machine, unless settings say otherwise. One process at a time may have it open: what another one left
 * half-written is cleared away.
 *
 * @throws {DrpError} data.unwritable, config.invalid
 */
export async function openRegistry(
  dir: string,
  settings: ImageStoreSettings = { kind: "folder" },
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Registry> {
  return new Registry(await openImageStore(dir, settings, env));
}

export class Registry implements ImageRegistry, UploadTarget {
  readonly #store: ImageStore;
  /** What uploads rely on. */
  readonly #pins = new ChunkPins();
  /** Found rotten and taken away while an upload relied on them. */
  readonly #lost = new Set<ChunkDigest>();
  /** Images whose manifests could not be read: what they need is not known, so nothing is swept while there is one. */
  readonly #unread = new Set<ImageDigest>();
  #index: Promise<ChunkIndex> | undefined;
  #lastExclusive: Promise<unknown> = Promise.resolve();

  constructor(store: ImageStore) {
    this.#store = store;
  }

  async ingestBundle(
    bundle: Readable,
    trustedKeys: readonly TrustedKey[],
    options: { readonly onProgress?: (progress: IngestProgress) => void } = {},
  ): Promise<IngestedImage> {
    const reader = new BundleReader(bundle);
    try {
      const { manifest, signed } = await reader.readManifest(trustedKeys);
      const digest = imageDigest(signed.manifestText);
      const missingChunks = await this.#countMissing(digest);
      if (missingChunks === 0) {
        await reader.drain();
        await this.#replaceSignature(digest, signed);
      } else await this.#ingest(reader, manifest, signed, options.onProgress);
      return {
        manifest,
        digest,
        alreadyPresent: missingChunks === 0,
        repairedChunks: missingChunks ?? 0,
        dataBytes: dataBytesOf(manifest),
        keyId: signed.signature.keyId,
      };
    } finally {
      reader.close();
    }
  }

  /** The same image, vouched for by another key from now on. */
  async #replaceSignature(digest: ImageDigest, signed: SignedManifest): Promise<void> {
    await this.#exclusive(async () => {
      if ((await this.manifest(digest))?.signature.keyId === signed.signature.keyId) return;
      await this.#store.publishManifest(digest, signed);
    });
  }

  async manifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    const signed = await this.#store.readManifest(digest);
    if (signed === undefined || imageDigest(signed.manifestText) === digest) return signed;
    throw damagedStore(
      `the manifest of image ${digest} in ${this.#store.location} is not the one that was signed`,
    );
  }

  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    // Boot HTTP is open to strangers: they cannot make the hub ask a store for what no image has.
    if (!chunkDigestSchema.safeParse(digest).success || !(await this.#readIndex()).isNeeded(digest))
      return undefined;
    return await this.#store.findChunk(digest);
  }

  async frameSize(digest: ChunkDigest): Promise<number | undefined> {
    return await this.#store.frameSize(digest);
  }

  async openImage(digest: ImageDigest): Promise<ImageReader | undefined> {
    const signed = await this.manifest(digest);
    if (signed === undefined) return undefined;
    const { name, version, payloads } = manifestSchema.parse(JSON.parse(signed.manifestText));
    const [payload] = payloads;
    if (payload === undefined) throw new RangeError(`image ${digest} has no payload`);
    return {
      payload,
      readChunk: async index => {
        const chunk = payload.chunks[index] ?? null;
        if (chunk === null) return null;
        const frame = await this.#readFrame(chunk);
        if (frame === undefined) {
          throw damagedStore(`chunk ${index} of ${name}:${version} is missing in ${this.#store.location}`);
        }
        return await decodeChunk(frame, chunkLength(payload, index));
      },
    };
  }

  /** A file may go between the answer and its reading, where its image becomes a delta: then another one is made. */
  async #readFrame(chunk: ChunkDigest): Promise<Buffer | undefined> {
    for (let isSecond = false; ; isSecond = true) {
      const path = await this.#store.findChunk(chunk);
      if (path === undefined) return undefined;
      try {
        return await readFile(path);
      } catch (error) {
        if (isSecond || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  }

  async remove(digest: ImageDigest, isStillUnneeded = async () => true): Promise<boolean> {
    return await this.#exclusive(async () => {
      const index = await this.#readIndex();
      if (!(await isStillUnneeded())) return false;
      // One whose manifest is damaged is in no index, and must go all the same.
      if (!index.hasImage(digest) && !(await this.#store.listManifests()).includes(digest)) return false;
      await this.#store.removeManifest(digest, chunk => this.#pins.has(chunk));
      const chunks = [...index.chunksOf(digest)];
      index.delete(digest);
      this.#unread.delete(digest);
      await this.#sweep(chunks);
      return true;
    });
  }

  async confirm(digest: ImageDigest, takeBack: () => Promise<void>): Promise<boolean> {
    return await this.#exclusive(async () => {
      if ((await this.#readIndex()).hasImage(digest)) return true;
      await takeBack();
      return false;
    });
  }

  async images(): Promise<ImageDigest[]> {
    return await this.#store.listManifests();
  }

  async scrub({
    onProgress = () => {},
    onFinding = async () => {},
    signal = new AbortController().signal,
  }: Parameters<ImageRegistry["scrub"]>[0]): Promise<ScrubReport> {
    const index = await this.#readIndex();
    await this.#exclusive(async () => {
      for (const image of [...this.#unread]) await this.#learn(index, image);
    });
    return await scrubStore({
      store: this.#store,
      index,
      findManifestFault: image => this.#findManifestFault(image),
      removeOrphan: chunk => this.#exclusive(() => this.#removeUnneeded(chunk)),
      quarantine: chunk => this.#exclusive(() => this.#quarantine(chunk)),
      onProgress,
      onFinding,
      signal,
    });
  }

  compact(images: readonly HistoryImage[], make: MakeDelta, signal: AbortSignal): Promise<CompactReport> {
    return this.#store.compact(images, make, signal);
  }

  async #ingest(
    reader: BundleReader,
    manifest: Manifest,
    signed: SignedManifest,
    onProgress: ((progress: IngestProgress) => void) | undefined,
  ): Promise<void> {
    const needed = namedChunks(manifest);
    await this.pin(needed);
    try {
      await writeBundleChunks(reader, manifest, this.#store, chunk => this.#lost.delete(chunk), onProgress);
      await this.publish(signed);
    } catch (error) {
      // What a store that fails cannot be rid of now, a scrub removes.
      await this.unpin(needed).catch(() => {});
      throw isDiskFull(error) ? await this.#diskFull(manifest, error) : error;
    }
    await this.unpin(needed);
  }

  async hasChunk(digest: ChunkDigest): Promise<boolean> {
    return await this.#store.hasChunk(digest);
  }

  /** @throws {DrpError} bundle.tampered, storage.full */
  async keepChunk(chunk: BundledChunk): Promise<void> {
    try {
      const written = await keepChunk(chunk, this.#store);
      if (written !== undefined) this.#lost.delete(written);
    } catch (error) {
      throw isDiskFull(error) ? storageError(this.#store.location, error) : error;
    }
  }

  /** From now on no sweep takes these chunks. */
  async pin(chunks: ReadonlySet<ChunkDigest>): Promise<void> {
    await this.#exclusive(async () => this.#pins.pin(chunks));
  }

  /** Those that no image needs go. */
  async unpin(chunks: ReadonlySet<ChunkDigest>): Promise<void> {
    await this.#exclusive(async () => {
      this.#pins.unpin(chunks);
      for (const chunk of chunks) if (!this.#pins.has(chunk)) this.#lost.delete(chunk);
      await this.#sweep(chunks);
    });
  }

  /** The manifest comes last: where it is, everything else is. Its chunks are kept and pinned by now. */
  async publish(signed: SignedManifest): Promise<void> {
    const needed = namedChunks(manifestSchema.parse(JSON.parse(signed.manifestText)));
    await this.#store.syncChunks(needed);
    await this.#exclusive(async () => {
      const lost = [...this.#lost].filter(chunk => needed.has(chunk));
      if (lost.length > 0) {
        throw damagedStore(
          `${lost.length} chunks that were there when the upload began have rotted in ${this.#store.location}`,
        );
      }
      const index = await this.#readIndex();
      const digest = imageDigest(signed.manifestText);
      await this.#store.publishManifest(digest, signed);
      index.add(digest, needed);
      this.#unread.delete(digest);
    });
  }

  /** @returns undefined when the image is not visible */
  async #countMissing(digest: ImageDigest): Promise<number | undefined> {
    const index = await this.#readIndex();
    if (!index.hasImage(digest)) return undefined;
    if ((await this.#findManifestFault(digest)) !== undefined) return undefined;
    let missing = 0;
    await forEachOf(index.chunksOf(digest), async chunk => {
      if (!(await this.#store.hasChunk(chunk))) missing++;
    });
    return missing;
  }

  async #findManifestFault(image: ImageDigest): Promise<string | undefined> {
    try {
      // Removed since it was listed: no fault.
      const signed = await this.manifest(image);
      if (signed === undefined || readManifestText(signed.manifestText) !== undefined) return undefined;
      return `the manifest of image ${image} in ${this.#store.location} is none that this release can read`;
    } catch (error) {
      if (error instanceof DrpError && error.code === "storage.damaged") return error.message;
      throw error;
    }
  }

  /** Removes those of the chunks that no visible image and no running ingest needs. */
  async #sweep(candidates: Iterable<ChunkDigest>): Promise<void> {
    await forEachOf(candidates, async chunk => void (await this.#removeUnneeded(chunk)));
  }

  async #removeUnneeded(chunk: ChunkDigest): Promise<boolean> {
    const index = await this.#readIndex();
    if (this.#unread.size > 0 || this.#pins.has(chunk) || index.isNeeded(chunk)) return false;
    return await this.#store.removeChunk(chunk);
  }

  /** Looks again first: between the scrub's look and this turn an upload may have brought it anew. */
  async #quarantine(chunk: ChunkDigest): Promise<string | undefined> {
    const inspected = await inspectChunk(this.#store, chunk);
    if (inspected?.fault === undefined) return undefined;
    const keptAt = await this.#store.quarantineChunk(chunk);
    if (this.#pins.has(chunk)) this.#lost.add(chunk);
    return keptAt;
  }

  /** Read at first need, so that a hub starts although its store is not reachable yet. */
  #readIndex(): Promise<ChunkIndex> {
    this.#index ??= this.#loadIndex().catch((error: unknown) => {
      this.#index = undefined;
      throw error;
    });
    return this.#index;
  }

  /** A manifest that is damaged makes nothing visible; a scrub says so. */
  async #loadIndex(): Promise<ChunkIndex> {
    const index = new ChunkIndex();
    for (const image of await this.#store.listManifests()) await this.#learn(index, image);
    return index;
  }

  async #learn(index: ChunkIndex, image: ImageDigest): Promise<void> {
    this.#unread.add(image);
    if ((await this.#findManifestFault(image)) !== undefined) return;
    const signed = await this.manifest(image);
    if (signed !== undefined)
      index.add(image, namedChunks(manifestSchema.parse(JSON.parse(signed.manifestText))));
    this.#unread.delete(image);
  }

  async #diskFull(manifest: Manifest, cause: unknown): Promise<DrpError> {
    const folder = this.#store.location;
    const { bavail, bsize } = await statfs(folder);
    const freeBytes = bavail * bsize;
    const neededBytes = dataBytesOf(manifest);
    return new DrpError(
      "storage.full",
      `${folder} has ${formatBytes(freeBytes)} free; ${manifest.name}:${manifest.version} needs up to ${formatBytes(neededBytes)}`,
      {
        advice: "Remove an image that nobody uses, or give the folder a larger disk; then push again.",
        facts: { folder, freeBytes, neededBytes },
        cause,
      },
    );
  }

  /** Pinning, publishing and sweeping take turns, so that no sweep looks at a picture that is changing. */
  #exclusive<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#lastExclusive.then(task);
    this.#lastExclusive = turn.catch(() => {});
    return turn;
  }
}

async function forEachOf(
  chunks: Iterable<ChunkDigest>,
  task: (chunk: ChunkDigest) => Promise<void>,
): Promise<void> {
  const window = new TaskWindow(CHUNKS_AT_ONCE);
  try {
    for (const chunk of chunks) await window.start(() => task(chunk));
    await window.finish();
  } finally {
    await window.settle();
  }
}

function namedChunks({ payloads, attachments }: Manifest): ReadonlySet<ChunkDigest> {
  return new Set(
    [...payloads, ...attachments].flatMap(({ chunks }) => chunks).filter(digest => digest !== null),
  );
}

function dataBytesOf({ payloads }: Manifest): number {
  return payloads.reduce((total, payload) => total + countDataBytes(payload), 0);
}

function isDiskFull(error: unknown): boolean {
  const errno = (error as NodeJS.ErrnoException).code;
  return errno === "ENOSPC" || errno === "EDQUOT";
}
