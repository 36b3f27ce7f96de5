/**
 * Uploads that go on after a cut: the sender shows a signed manifest, hears which of its chunks are missing, sends those in any
 * order, and completes. What is safe stays safe across a restart of the hub; an upload that rests for a day is given up.
 */
import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { DrpError } from "../../core/errors.ts";
import type { Clock } from "../../core/time.ts";
import { imageDigest } from "../digest.ts";
import type { TrustedKey } from "../keys.ts";
import {
  type ChunkDigest,
  type ChunkedPart,
  type ImageDigest,
  type Manifest,
  manifestSchema,
  signatureSchema,
} from "../manifest.ts";
import type { SignedManifest } from "../signature.ts";
import { type BundledChunk, BundleReader } from "./bundle-reader.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";

/** The registry, as far as an upload needs it. */
export interface UploadTarget {
  hasChunk(digest: ChunkDigest): Promise<boolean>;
  /** From now on no sweep takes these chunks. */
  pin(chunks: ReadonlySet<ChunkDigest>): Promise<void>;
  /** Those that no image needs may go. */
  unpin(chunks: ReadonlySet<ChunkDigest>): Promise<void>;
  /** @throws {DrpError} bundle.tampered, storage.full */
  keepChunk(chunk: BundledChunk): Promise<void>;
  /** Makes the image visible; all its chunks are kept by now. */
  publish(signed: SignedManifest): Promise<void>;
}

export interface CompletedUpload {
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
  /** Which trusted key signed it. */
  readonly keyId: string;
}

interface Upload {
  readonly signed: SignedManifest;
  readonly manifest: Manifest;
  /** Each chunk once, by one of its places. */
  readonly places: ReadonlyMap<ChunkDigest, Place>;
}

interface Place {
  readonly part: ChunkedPart;
  readonly index: number;
}

/** Each open one holds chunks on the disk and up to 8 MB of memory. */
const MAX_OPEN = 16;
const REST_MS = 24 * 60 * 60 * 1000;

export class Uploads {
  readonly #dir: string;
  readonly #target: UploadTarget;
  readonly #clock: Clock;
  readonly #open = new Map<ImageDigest, Upload>();

  private constructor(dir: string, target: UploadTarget, clock: Clock) {
    this.#dir = dir;
    this.#target = target;
    this.#clock = clock;
  }

  /** Takes up what a former process left open. */
  static async open(dir: string, target: UploadTarget, clock: Clock): Promise<Uploads> {
    await mkdir(dir, { recursive: true });
    await removeUnfinished(dir);
    const uploads = new Uploads(dir, target, clock);
    for (const name of await readdir(dir)) {
      const content = JSON.parse(await readFile(join(dir, name), "utf8"));
      const signed = { ...content, signature: signatureSchema.parse(content.signature) };
      await uploads.#take(signed, manifestSchema.parse(JSON.parse(signed.manifestText)));
    }
    await uploads.#giveUpRested();
    return uploads;
  }

  /**
   * Begins an upload, or finds the one that was cut.
   *
   * @param head the first two entries of the bundle: manifest.json and manifest.sig; read to its end
   * @returns the chunks that are still to come
   * @throws {DrpError} upload.too-many, and what `BundleReader.readManifest` throws
   */
  async begin(
    head: Readable,
    trustedKeys: readonly TrustedKey[],
  ): Promise<{ readonly digest: ImageDigest; readonly missing: readonly ChunkDigest[] }> {
    const { signed, manifest } = await readHead(head, trustedKeys);
    await this.#giveUpRested();
    const digest = imageDigest(signed.manifestText);
    if (!this.#open.has(digest) && this.#open.size >= MAX_OPEN) {
      throw new DrpError("upload.too-many", `${MAX_OPEN} uploads are open already`, {
        advice: "Finish one of them; one that rests for a day is given up by itself.",
      });
    }
    const { places } = await this.#take(signed, manifest);
    await writeWhole(this.#path(digest), JSON.stringify(signed));
    await syncDirectory(this.#dir);
    return { digest, missing: await this.#missing(places) };
  }

  /**
   * Keeps one chunk of an open upload; again is as good as once.
   *
   * @param frame one zstd frame
   * @throws {DrpError} upload.unknown, bundle.tampered, storage.full
   */
  async keepChunk(image: ImageDigest, chunk: ChunkDigest, frame: Buffer): Promise<void> {
    const upload = this.#require(image);
    const place = upload.places.get(chunk);
    if (place === undefined) {
      throw new DrpError("not-found", `${nameOf(upload)} has no chunk ${chunk}`, {
        advice: "Begin the upload again: it says which chunks are missing.",
      });
    }
    await this.#target.keepChunk({ ...place, form: "frame", bytes: frame });
    const now = new Date(this.#clock());
    await utimes(this.#path(image), now, now);
  }

  /** @throws {DrpError} upload.unknown, upload.incomplete */
  async complete(image: ImageDigest): Promise<CompletedUpload> {
    const upload = this.#require(image);
    const missing = await this.#missing(upload.places);
    if (missing.length > 0) {
      throw new DrpError(
        "upload.incomplete",
        `${missing.length} of the ${upload.places.size} chunks of ${nameOf(upload)} have not come`,
        {
          advice: "Push the bundle again: only what is missing is sent.",
          facts: { missing: missing.length },
        },
      );
    }
    await this.#target.publish(upload.signed);
    await this.#giveUp(image, upload);
    return { manifest: upload.manifest, digest: image, keyId: upload.signed.signature.keyId };
  }

  async #take(signed: SignedManifest, manifest: Manifest): Promise<Upload> {
    const digest = imageDigest(signed.manifestText);
    const known = this.#open.get(digest);
    // A second sender may bring another signature of the same manifest.
    const upload = { signed, manifest, places: known?.places ?? placesOf(manifest) };
    this.#open.set(digest, upload);
    if (known === undefined) await this.#target.pin(new Set(upload.places.keys()));
    return upload;
  }

  async #giveUpRested(): Promise<void> {
    for (const [digest, upload] of this.#open) {
      const touched = await stat(this.#path(digest)).catch(() => undefined);
      // Without a file it has only just begun.
      if (touched !== undefined && this.#clock() - touched.mtimeMs > REST_MS)
        await this.#giveUp(digest, upload);
    }
  }

  /** Whatever the upload did not bring to an end may be swept. */
  async #giveUp(digest: ImageDigest, upload: Upload): Promise<void> {
    this.#open.delete(digest);
    await rm(this.#path(digest), { force: true });
    await this.#target.unpin(new Set(upload.places.keys()));
  }

  async #missing(places: Upload["places"]): Promise<ChunkDigest[]> {
    const missing: ChunkDigest[] = [];
    for (const chunk of places.keys()) if (!(await this.#target.hasChunk(chunk))) missing.push(chunk);
    return missing;
  }

  #require(image: ImageDigest): Upload {
    const upload = this.#open.get(image);
    if (upload !== undefined) return upload;
    throw new DrpError("upload.unknown", `no upload of ${image} is open`, {
      advice: "Begin it again: what came before is still there unless it rested for a day.",
    });
  }

  #path(image: ImageDigest): string {
    return join(this.#dir, `${image.slice("sha256:".length)}.json`);
  }
}

function nameOf({ manifest }: Upload): string {
  return `${manifest.name}:${manifest.version}`;
}

async function readHead(
  head: Readable,
  trustedKeys: readonly TrustedKey[],
): Promise<{ readonly manifest: Manifest; readonly signed: SignedManifest }> {
  const reader = new BundleReader(head);
  try {
    const read = await reader.readManifest(trustedKeys);
    await reader.drain();
    return read;
  } finally {
    reader.close();
  }
}

function placesOf({ payloads, attachments }: Manifest): ReadonlyMap<ChunkDigest, Place> {
  const places = new Map<ChunkDigest, Place>();
  for (const part of [...payloads, ...attachments]) {
    for (const [index, chunk] of part.chunks.entries())
      if (chunk !== null) places.set(chunk, { part, index });
  }
  return places;
}
