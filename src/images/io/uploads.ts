/**
 * Uploads that go on after a cut: the sender shows a signed manifest, hears which of its chunks are missing, sends those in any
 * order, and completes. What is safe stays safe across a restart of the hub; an upload that rests for a day is given up.
 */
import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { DrpError } from "../../core/errors.ts";
import { storageError } from "../../core/storage-error.ts";
import type { Clock } from "../../core/time.ts";
import { imageDigest } from "../digest.ts";
import type { TrustedKey } from "../keys.ts";
import {
  type ChunkDigest,
  type ChunkedPart,
  type ImageDigest,
  type Manifest,
  signatureSchema,
} from "../manifest.ts";
import { parseManifest } from "../parse-manifest.ts";
import type { SignedManifest } from "../signature.ts";
import { requireChunkFrame } from "../zstd-frames.ts";
import { type BundledChunk, BundleReader, tamperedChunk } from "./bundle-reader.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";
import { TaskWindow } from "./task-window.ts";

/** The registry, as far as an upload needs it. */
export interface UploadTarget {
  hasChunk(digest: ChunkDigest): Promise<boolean>;
  /** @returns undefined: no such image is visible */
  manifest(digest: ImageDigest): Promise<SignedManifest | undefined>;
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
  /** Still to come, as far as anybody has looked since the hub started. */
  missing: Set<ChunkDigest> | undefined;
}

interface Place {
  readonly part: ChunkedPart;
  readonly index: number;
}

/** Each open one holds chunks on the disk and up to 8 MB of memory. */
const MAX_OPEN = 16;
/** Questions to the store side by side: an S3 store takes its time for each. */
const LOOKS_AT_ONCE = 32;
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
      const kept = readUpload(await readFile(join(dir, name), "utf8"));
      // Its sender begins again; what came of it is swept as nobody's.
      if (kept === undefined) await rm(join(dir, name));
      else await uploads.#take(kept.signed, kept.manifest);
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
    const upload = await this.#take(signed, manifest);
    try {
      await writeWhole(this.#path(digest), JSON.stringify(signed));
      await syncDirectory(this.#dir);
    } catch (cause) {
      throw storageError(this.#dir, cause);
    }
    upload.missing = await this.#look(upload.places);
    return { digest, missing: [...upload.missing] };
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
    try {
      requireChunkFrame(frame);
    } catch (cause) {
      throw tamperedChunk(place.part, place.index, "cannot be read", cause);
    }
    await this.#target.keepChunk({ ...place, form: "frame", bytes: frame });
    upload.missing?.delete(chunk);
    const now = new Date(this.#clock());
    // Another sender of the same image may have completed it meanwhile.
    await utimes(this.#path(image), now, now).catch(() => undefined);
  }

  /**
   * Makes the image visible; again is as good as once.
   *
   * @throws {DrpError} upload.unknown, upload.incomplete
   */
  async complete(image: ImageDigest): Promise<CompletedUpload> {
    const upload = this.#open.get(image) ?? (await this.#completed(image)) ?? this.#require(image);
    upload.missing ??= await this.#look(upload.places);
    const missing = upload.missing.size;
    if (missing > 0) {
      throw new DrpError(
        "upload.incomplete",
        `${missing} of the ${upload.places.size} chunks of ${nameOf(upload)} have not come`,
        {
          advice: "Push the bundle again: only what is missing is sent.",
          facts: { missing },
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
    const upload = {
      signed,
      manifest,
      places: known?.places ?? placesOf(manifest),
      missing: known?.missing,
    };
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
    // Given up already, or taken up by another sender.
    if (this.#open.get(digest) !== upload) return;
    this.#open.delete(digest);
    await rm(this.#path(digest), { force: true });
    await this.#target.unpin(new Set(upload.places.keys()));
  }

  /** Its answer may have been lost on the way. */
  async #completed(image: ImageDigest): Promise<Upload | undefined> {
    const signed = await this.#target.manifest(image);
    if (signed === undefined) return undefined;
    const manifest = parseManifest(signed.manifestText);
    return { signed, manifest, places: new Map(), missing: new Set() };
  }

  /** @returns those that are not there */
  async #look(places: Upload["places"]): Promise<Set<ChunkDigest>> {
    const missing = new Set<ChunkDigest>();
    const window = new TaskWindow(LOOKS_AT_ONCE);
    for (const chunk of places.keys()) {
      await window.start(async () => {
        if (!(await this.#target.hasChunk(chunk))) missing.add(chunk);
      });
    }
    await window.finish();
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

/** @returns undefined for what is no upload of this release */
function readUpload(text: string): { signed: SignedManifest; manifest: Manifest } | undefined {
  try {
    const { manifestText, signature } = JSON.parse(text);
    const signed = { manifestText, signature: signatureSchema.parse(signature) };
    return { signed, manifest: parseManifest(manifestText) };
  } catch {
    return undefined;
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
