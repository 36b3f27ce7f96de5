/** Where the hub keeps images: each chunk once, a manifest visible only when every chunk of it is safe on disk. */
import { mkdir, readdir, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import { chunkLength, countDataBytes, isZeroChunk } from "../chunker.ts";
import { chunkDigest, imageDigest } from "../digest.ts";
import type { ImageReader } from "../image-reader.ts";
import type { TrustedKey } from "../keys.ts";
import {
  type ChunkDigest,
  type ChunkedPart,
  type ImageDigest,
  imageDigestSchema,
  type Manifest,
  manifestSchema,
  signatureSchema,
} from "../manifest.ts";
import type { SignedManifest } from "../signature.ts";
import { type BundledChunk, BundleReader, tamperedChunk } from "./bundle-reader.ts";
import { decodeChunk, encodeChunk } from "./chunk-codec.ts";
import { ChunkStore } from "./chunk-store.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";
import { TaskWindow } from "./task-window.ts";

export interface IngestProgress {
  /** Of the raw image, both. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface IngestedImage {
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
  /** True when the image was there before; nothing was written then. */
  readonly alreadyPresent: boolean;
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
   *   storage.full; nothing of the bundle is visible then
   */
  ingestBundle(
    bundle: Readable,
    trustedKeys: readonly TrustedKey[],
    options?: { readonly onProgress?: (progress: IngestProgress) => void },
  ): Promise<IngestedImage>;
  manifest(digest: ImageDigest): Promise<SignedManifest | undefined>;
  /** @returns a local file that holds the chunk's zstd frame; undefined when the chunk is not kept here */
  findChunk(digest: ChunkDigest): Promise<string | undefined>;
  /** @returns undefined when there is no such image */
  openImage(digest: ImageDigest): Promise<ImageReader | undefined>;
  /** @returns false when there is no such image */
  remove(digest: ImageDigest): Promise<boolean>;
}

/**
 * One process at a time may have a registry open: what another one left half-written is cleared away.
 *
 * @throws {DrpError} data.unwritable
 */
export async function openRegistry(dir: string): Promise<ImageRegistry> {
  try {
    const manifestDir = join(dir, "manifests");
    await mkdir(manifestDir, { recursive: true });
    await removeUnfinished(manifestDir);
    return new FileRegistry(dir, manifestDir, await ChunkStore.open(join(dir, "chunks")));
  } catch (cause) {
    throw new DrpError("data.unwritable", `cannot keep images in ${dir}`, {
      advice: "Check that the folder can be written and that its disk is not full.",
      cause,
    });
  }
}

/** Chunks hashed, compressed and written side by side: 2 MiB of memory each, enough to keep several cores and a disk busy. */
const CHUNKS_AT_ONCE = 8;

class FileRegistry implements ImageRegistry {
  readonly #dir: string;
  readonly #manifestDir: string;
  readonly #chunks: ChunkStore;
  /** What running ingests rely on: no sweep may take it. */
  readonly #ingesting = new Set<ReadonlySet<ChunkDigest>>();
  #lastExclusive: Promise<unknown> = Promise.resolve();

  constructor(dir: string, manifestDir: string, chunks: ChunkStore) {
    this.#dir = dir;
    this.#manifestDir = manifestDir;
    this.#chunks = chunks;
  }

  async ingestBundle(
    bundle: Readable,
    trustedKeys: readonly TrustedKey[],
    options: { readonly onProgress?: (progress: IngestProgress) => void } = {},
  ): Promise<IngestedImage> {
    const reader = new BundleReader(bundle);
    try {
      const { manifest, signed } = await reader.readManifest(trustedKeys);
      const image = {
        manifest,
        digest: imageDigest(signed.manifestText),
        dataBytes: sum(manifest.payloads, countDataBytes),
        keyId: signed.signature.keyId,
      };
      const alreadyPresent = await this.#isVisible(image.digest);
      if (alreadyPresent) await reader.drain();
      else await this.#ingest(reader, manifest, signed, options.onProgress);
      return { ...image, alreadyPresent };
    } finally {
      reader.close();
    }
  }

  async manifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    const path = this.#manifestPath(digest);
    try {
      const [manifestText, signatureText] = await Promise.all([
        readFile(`${path}.json`, "utf8"),
        readFile(`${path}.sig`, "utf8"),
      ]);
      return { manifestText, signature: signatureSchema.parse(JSON.parse(signatureText)) };
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    return (await this.#chunks.has(digest)) ? this.#chunks.path(digest) : undefined;
  }

  async openImage(digest: ImageDigest): Promise<ImageReader | undefined> {
    const signed = await this.manifest(digest);
    if (signed === undefined) return undefined;
    const [payload] = manifestSchema.parse(JSON.parse(signed.manifestText)).payloads;
    if (payload === undefined) throw new RangeError(`image ${digest} has no payload`);
    return {
      payload,
      readChunk: async index => {
        const chunk = payload.chunks[index] ?? null;
        if (chunk === null) return null;
        return await decodeChunk(await readFile(this.#chunks.path(chunk)), chunkLength(payload, index));
      },
    };
  }

  async remove(digest: ImageDigest): Promise<boolean> {
    const signed = await this.manifest(digest);
    if (signed === undefined) return false;
    await this.#exclusive(async () => {
      const path = this.#manifestPath(digest);
      await rm(`${path}.json`, { force: true });
      await syncDirectory(this.#manifestDir);
      await rm(`${path}.sig`, { force: true });
      await this.#sweep(namedChunks(signed.manifestText));
    });
    return true;
  }

  async #ingest(
    reader: BundleReader,
    manifest: Manifest,
    signed: SignedManifest,
    onProgress: ((progress: IngestProgress) => void) | undefined,
  ): Promise<void> {
    const needed = namedChunks(signed.manifestText);
    await this.#exclusive(async () => this.#ingesting.add(needed));
    try {
      await this.#writeChunks(reader, manifest, onProgress);
      await this.#chunks.sync(needed);
      await this.#exclusive(async () => {
        await this.#publish(signed);
        this.#ingesting.delete(needed);
      });
    } catch (error) {
      await this.#exclusive(async () => {
        this.#ingesting.delete(needed);
        await this.#sweep(needed);
      });
      throw isDiskFull(error) ? await this.#diskFull(manifest, error) : error;
    }
  }

  async #writeChunks(
    reader: BundleReader,
    manifest: Manifest,
    onProgress: ((progress: IngestProgress) => void) | undefined,
  ): Promise<void> {
    const totalBytes = sum([...manifest.payloads, ...manifest.attachments], part => part.sizeBytes);
    let doneBytes = 0;
    const window = new TaskWindow(CHUNKS_AT_ONCE);
    try {
      for await (const chunk of reader.chunks(manifest)) {
        await window.start(async () => {
          await this.#keepChunk(chunk);
          doneBytes += chunkLength(chunk.part, chunk.index);
          onProgress?.({ doneBytes, totalBytes });
        });
      }
      await window.finish();
    } finally {
      // Whoever clears up after a failure must not meet a chunk that is still being written.
      await window.settle();
    }
  }

  /** What is stored is what was checked: a frame from the bundle is kept as it came, once its content is proven. */
  async #keepChunk({ part, index, form, bytes }: BundledChunk): Promise<void> {
    const plain = form === "plain" ? bytes : await decodeFrame(part, index, bytes);
    const digest = part.chunks[index] ?? null;
    if (digest === null) {
      if (!isZeroChunk(plain)) throw tamperedChunk(part, index, "holds data where zeros were signed");
    } else if (chunkDigest(plain) !== digest) {
      throw tamperedChunk(part, index, "is not the one that was signed");
    } else if (!(await this.#chunks.has(digest))) {
      await this.#chunks.write(digest, form === "frame" ? bytes : await encodeChunk(bytes));
    }
  }

  /** The manifest comes last: where it is, everything else is. */
  async #publish(signed: SignedManifest): Promise<void> {
    const path = this.#manifestPath(imageDigest(signed.manifestText));
    await writeWhole(`${path}.sig`, JSON.stringify(signed.signature));
    await writeWhole(`${path}.json`, signed.manifestText);
    await syncDirectory(this.#manifestDir);
  }

  /** Removes those of the chunks that no visible image and no running ingest needs. */
  async #sweep(candidates: ReadonlySet<ChunkDigest>): Promise<void> {
    const unneeded = new Set(candidates);
    for (const digest of await this.#visibleDigests()) {
      const signed = await this.manifest(digest);
      for (const chunk of signed === undefined ? [] : namedChunks(signed.manifestText))
        unneeded.delete(chunk);
    }
    for (const needed of this.#ingesting) {
      for (const chunk of needed) unneeded.delete(chunk);
    }
    for (const chunk of unneeded) await this.#chunks.remove(chunk);
  }

  async #visibleDigests(): Promise<ImageDigest[]> {
    const names = await readdir(this.#manifestDir);
    return names
      .filter(name => name.endsWith(".json"))
      .map(name => `sha256:${name.slice(0, -".json".length)}`);
  }

  async #isVisible(digest: ImageDigest): Promise<boolean> {
    return (await this.manifest(digest)) !== undefined;
  }

  #manifestPath(digest: ImageDigest): string {
    return join(this.#manifestDir, imageDigestSchema.parse(digest).slice("sha256:".length));
  }

  async #diskFull(manifest: Manifest, cause: unknown): Promise<DrpError> {
    const { bavail, bsize } = await statfs(this.#dir);
    const freeBytes = bavail * bsize;
    const neededBytes = sum(manifest.payloads, countDataBytes);
    return new DrpError(
      "storage.full",
      `${this.#dir} has ${formatBytes(freeBytes)} free; ${manifest.name}:${manifest.version} needs up to ${formatBytes(neededBytes)}`,
      {
        advice: "Remove an image that nobody uses, or give the folder a larger disk; then push again.",
        facts: { folder: this.#dir, freeBytes, neededBytes },
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

async function decodeFrame(part: ChunkedPart, index: number, frame: Buffer): Promise<Buffer> {
  try {
    return await decodeChunk(frame, chunkLength(part, index));
  } catch (cause) {
    throw tamperedChunk(part, index, "does not decompress to its size", cause);
  }
}

function namedChunks(manifestText: string): ReadonlySet<ChunkDigest> {
  const { payloads, attachments } = manifestSchema.parse(JSON.parse(manifestText));
  return new Set(
    [...payloads, ...attachments].flatMap(({ chunks }) => chunks).filter(digest => digest !== null),
  );
}

function sum<T>(items: readonly T[], measure: (item: T) => number): number {
  return items.reduce((total, item) => total + measure(item), 0);
}

function isDiskFull(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOSPC" || errno === "EDQUOT";
}

function errnoOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
