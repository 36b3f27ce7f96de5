/**
 * A folder of images in which old ones may be kept as deltas over whole ones. Whoever asks for a chunk notices nothing: one that lies
 * in no file is rebuilt, checked and kept for a while. A frame is removed only when the delta that replaces it is durable and every
 * chunk has been rebuilt from it.
 */
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { DecodeError, DrpError, describeErrorChain } from "../../core/errors.ts";
import { ChunkIndex } from "../chunk-index.ts";
import { chunkLength } from "../chunker.ts";
import { groupOfChunk } from "../delta/apply.ts";
import type { ChunkPlace } from "../delta/process-messages.ts";
import { chunkDigest, imageDigest } from "../digest.ts";
import type { ImageReader } from "../image-reader.ts";
import {
  type ChunkDigest,
  type ImageDigest,
  type Manifest,
  manifestSchema,
  type Payload,
} from "../manifest.ts";
import { type HistoryImage, type HistoryStep, isWorthKeeping, planHistory } from "../plan-history.ts";
import type { SignedManifest } from "../signature.ts";
import { ChunkCache } from "./chunk-cache.ts";
import { decodeChunk, encodeChunk } from "./chunk-codec.ts";
import { damagedStore } from "./damaged-store.ts";
import { type OpenDelta, openDelta } from "./delta-file.ts";
import type { FolderImageStore } from "./folder-image-store.ts";
import { ImageHistory, readManifestText } from "./image-history.ts";
import type { CompactReport, ImageStore, MakeDelta, RottenDelta } from "./image-store.ts";

/** Frames made of deltas: several images on their way to sites that go back to them. */
const REBUILT_BYTES = 4 * 1024 ** 3;

export class HistoryImageStore implements ImageStore {
  readonly #frames: FolderImageStore;
  readonly #history: ImageHistory;
  readonly #rebuilt: ChunkCache;
  /** What must lie in files: chunks of whole images, of bases that were removed, and attachments. */
  readonly #whole = new ChunkIndex();
  /** What can be rebuilt. */
  readonly #derived = new ChunkIndex();
  readonly #payloads = new Map<ImageDigest, Payload>();
  /** Images whose manifests could not be read: what they need is not known, so nothing is removed while there is one. */
  readonly #unread = new Set<ImageDigest>();
  /** "image base": not tried again before the next start. */
  readonly #refused = new Set<string>();
  #lastTurn: Promise<unknown> = Promise.resolve();
  #lastRebuild: Promise<unknown> = Promise.resolve();

  private constructor(frames: FolderImageStore, history: ImageHistory, rebuilt: ChunkCache) {
    this.#frames = frames;
    this.#history = history;
    this.#rebuilt = rebuilt;
  }

  static async open(frames: FolderImageStore): Promise<HistoryImageStore> {
    const dir = frames.location;
    // What was rebuilt can be rebuilt.
    await rm(join(dir, "rebuilt"), { recursive: true, force: true });
    const history = await ImageHistory.open(join(dir, "history"));
    const store = new HistoryImageStore(
      frames,
      history,
      await ChunkCache.open(join(dir, "rebuilt"), REBUILT_BYTES),
    );
    await store.#takeUp();
    return store;
  }

  get location(): string {
    return this.#frames.location;
  }

  async hasChunk(digest: ChunkDigest): Promise<boolean> {
    return (await this.#frames.hasChunk(digest)) || this.#deltasWith(digest).length > 0;
  }

  /** @throws {DrpError} storage.damaged: the delta that it is in has rotted; that one is moved aside by then */
  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    try {
      return await this.#findFrame(digest);
    } catch (error) {
      if (!(error instanceof RottenDeltaError)) throw error;
      // It may have been replaced by another one while it was read.
      return await this.#inTurn(() => this.#findFrameOrCondemn(digest));
    }
  }

  /** What only a delta holds has none until it is rebuilt, which is not worth it for its size. */
  frameSize(digest: ChunkDigest): Promise<number | undefined> {
    return this.#frames.frameSize(digest);
  }

  readChunk(digest: ChunkDigest): Promise<Buffer | undefined> {
    return this.#frames.readChunk(digest);
  }

  writeChunk(digest: ChunkDigest, frame: Uint8Array): Promise<void> {
    return this.#frames.writeChunk(digest, frame);
  }

  syncChunks(digests: Iterable<ChunkDigest>): Promise<void> {
    return this.#frames.syncChunks(digests);
  }

  async removeChunk(digest: ChunkDigest): Promise<boolean> {
    if (this.#unread.size > 0 || this.#whole.isNeeded(digest)) return false;
    return await this.#frames.removeChunk(digest);
  }

  quarantineChunk(digest: ChunkDigest): Promise<string> {
    return this.#frames.quarantineChunk(digest);
  }

  listChunks(shard: number): Promise<ChunkDigest[]> {
    return this.#frames.listChunks(shard);
  }

  async readManifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    const signed = await this.#frames.readManifest(digest);
    // The disk has thought better of it.
    if (this.#unread.has(digest)) await this.#inTurn(() => this.#learn(digest));
    return signed;
  }

  listManifests(): Promise<ImageDigest[]> {
    return this.#frames.listManifests();
  }

  publishManifest(digest: ImageDigest, signed: SignedManifest): Promise<void> {
    return this.#inTurn(async () => {
      const manifest = parseManifest(signed);
      const base = this.#history.deltas.get(digest);
      const isDelta = base !== undefined && this.#payloads.has(digest) && !this.#unread.has(base);
      if (!isDelta) {
        await this.#writeFrames(chunksOf(manifest));
        this.#whole.add(digest, chunksOf(manifest));
      }
      await this.#frames.publishManifest(digest, signed);
      await this.#history.dropBase(digest);
      this.#unread.delete(digest);
      // One that nothing can be read from.
      if (base === undefined || isDelta) return;
      await this.#forget(digest);
      await this.#releaseBase(base);
    });
  }

  removeManifest(digest: ImageDigest, keepChunk: (chunk: ChunkDigest) => boolean): Promise<void> {
    return this.#inTurn(async () => {
      const base = this.#history.deltas.get(digest);
      const isBase = this.#history.dependantsOf(digest).length > 0;
      if (isBase) {
        const signed = await this.#frames.readManifest(digest);
        if (signed === undefined || imageDigest(signed.manifestText) !== digest)
          throw damagedStore(`the manifest of image ${digest}, which deltas are over, has rotted`);
        await this.#history.keepBase(signed.manifestText);
      }
      for (const chunk of this.#derived.chunksOf(digest)) {
        // One that cannot be had fails the upload that relies on it, not this.
        if (keepChunk(chunk)) await this.#writeFrames([chunk]).catch(unlessDamaged);
      }
      await this.#frames.removeManifest(digest);
      this.#unread.delete(digest);
      if (!isBase) this.#whole.delete(digest);
      if (base === undefined) return;
      await this.#forget(digest);
      await this.#releaseBase(base);
    });
  }

  async *findRottenDeltas(signal: AbortSignal): AsyncGenerator<RottenDelta, void, void> {
    for (const [image, base] of [...this.#history.deltas]) {
      const fault = await this.#findFault(image, this.#history.deltaPath(image), base, signal);
      if (fault === undefined || this.#history.deltas.get(image) !== base) continue;
      if (fault.of === "base") yield { image, fault: fault.what, keptAt: null };
      else yield { image, fault: fault.what, keptAt: await this.#inTurn(() => this.#condemn(image)) };
    }
  }

  async compact(
    images: readonly HistoryImage[],
    make: MakeDelta,
    signal: AbortSignal,
  ): Promise<CompactReport> {
    for (const image of this.#history.deltas.keys())
      await this.#inTurn(() => this.#sweep(this.#derived.chunksOf(image)));
    const report = { encoded: 0, restored: 0, refused: 0 };
    const failures: unknown[] = [];
    for (const step of planHistory(images, this.#history.deltas)) {
      signal.throwIfAborted();
      try {
        if (step.kind === "restore") {
          await this.#restore(step.image);
          report.restored++;
        } else if (!this.#refused.has(`${step.image} ${step.base}`)) {
          if (await this.#encode(step, make, signal)) report.encoded++;
          else report.refused++;
        }
      } catch (error) {
        // One image that is damaged does not keep the others from their turn.
        failures.push(error);
      }
    }
    signal.throwIfAborted();
    if (failures.length > 1) throw new AggregateError(failures, failures.map(describeErrorChain).join("; "));
    if (failures.length > 0) throw failures[0];
    return report;
  }

  /** @returns false when the delta is not kept */
  async #encode(
    { image, base }: Extract<HistoryStep, { kind: "encode" }>,
    make: MakeDelta,
    signal: AbortSignal,
  ): Promise<boolean> {
    const [to, from] = await Promise.all([this.#payloadOf(image), this.#payloadOf(base)]);
    // Removed meanwhile.
    if (to === undefined || from === undefined) return false;
    const path = this.#history.candidatePath(image);
    try {
      const job = { from: { digest: base, payload: from }, to: { digest: image, payload: to }, path };
      const { sizeBytes } = await make(job, ({ image: which, index }) =>
        this.#placeOf((which === "from" ? from : to).chunks[index] ?? null),
      );
      const isMoved = this.#history.deltas.has(image);
      if (!isMoved && !isWorthKeeping(sizeBytes, await this.#measureOwn(image, to))) {
        this.#refused.add(`${image} ${base}`);
        return false;
      }
      const fault = await this.#findFault(image, path, base, signal, to);
      if (fault !== undefined) throw damagedStore(`the delta for ${image} over ${base} ${fault.what}`);
      return await this.#inTurn(() => this.#adopt(image, base, to));
    } finally {
      await rm(path, { force: true });
    }
  }

  async #adopt(image: ImageDigest, base: ImageDigest, payload: Payload): Promise<boolean> {
    const manifest = await this.#readSound(image);
    const isBaseWhole = this.#whole.hasImage(base) && !this.#history.deltas.has(base);
    if (manifest === undefined || !isBaseWhole || this.#history.dependantsOf(image).length > 0) return false;
    const before = this.#history.deltas.get(image);
    await this.#history.adopt(image, base);
    this.#learnDelta(image, manifest, payload);
    await this.#sweep(this.#derived.chunksOf(image));
    if (before !== undefined) await this.#releaseBase(before);
    return true;
  }

  /** Made whole again: frames first, then the delta goes. */
  async #restore(image: ImageDigest): Promise<void> {
    await this.#inTurn(async () => {
      const base = this.#history.deltas.get(image);
      const manifest = await this.#readSound(image);
      if (base === undefined || manifest === undefined) return;
      const chunks = chunksOf(manifest);
      await this.#writeFrames(chunks);
      this.#whole.add(image, chunks);
      await this.#forget(image);
      await this.#releaseBase(base);
    });
  }

  /** In a turn. Every chunk of these lies in a file afterwards. @throws {DrpError} storage.damaged: one can be had from nowhere */
  async #writeFrames(chunks: readonly ChunkDigest[]): Promise<void> {
    for (const chunk of chunks) {
      if (await this.#frames.hasChunk(chunk)) continue;
      const path = await this.#findFrameOrCondemn(chunk);
      if (path === undefined) throw damagedStore(`chunk ${chunk} is missing in ${this.location}`);
      await this.#frames.writeChunk(chunk, await readFile(path));
    }
    await this.#frames.syncChunks(chunks);
  }

  async #forget(image: ImageDigest): Promise<void> {
    this.#derived.delete(image);
    this.#payloads.delete(image);
    await this.#history.drop(image);
  }

  /** A base that was removed and that nothing needs any more goes for good. */
  async #releaseBase(base: ImageDigest): Promise<void> {
    if (!this.#history.bases.has(base) || this.#history.dependantsOf(base).length > 0) return;
    const chunks = [...this.#whole.chunksOf(base)];
    await this.#history.dropBase(base);
    this.#whole.delete(base);
    await this.#sweep(chunks);
  }

  async #sweep(chunks: Iterable<ChunkDigest>): Promise<void> {
    for (const chunk of chunks) await this.removeChunk(chunk);
  }

  async #findFrame(chunk: ChunkDigest): Promise<string | undefined> {
    return (
      (await this.#frames.findChunk(chunk)) ?? this.#rebuilt.find(chunk) ?? (await this.#rebuildInTurn(chunk))
    );
  }

  /** In a turn. @throws {DrpError} storage.damaged */
  async #findFrameOrCondemn(chunk: ChunkDigest): Promise<string | undefined> {
    try {
      return await this.#findFrame(chunk);
    } catch (error) {
      if (!(error instanceof RottenDeltaError)) throw error;
      const keptAt = await this.#condemn(error.image);
      throw damagedStore(
        `image ${error.image} was kept as a delta, which has rotted; moved to ${keptAt}`,
        error.cause,
      );
    }
  }

  /** In a turn. From now on the image's chunks are missed: a second push brings them. @returns where the delta is now */
  async #condemn(image: ImageDigest): Promise<string> {
    const base = this.#history.deltas.get(image);
    this.#whole.add(image, [...this.#whole.chunksOf(image), ...this.#derived.chunksOf(image)]);
    this.#derived.delete(image);
    this.#payloads.delete(image);
    const keptAt = await this.#history.quarantine(image, join(this.location, "quarantine"));
    if (base !== undefined) await this.#releaseBase(base);
    return keptAt;
  }

  /** Images that the chunk can be rebuilt for. */
  #deltasWith(chunk: ChunkDigest): ImageDigest[] {
    return this.#derived
      .imagesWith(chunk)
      .filter(image => !this.#unread.has(this.#history.deltas.get(image) ?? image));
  }

  /** One at a time: each takes up to 14 MiB of memory, and brings its neighbours along. */
  #rebuildInTurn(chunk: ChunkDigest): Promise<string | undefined> {
    const turn = this.#lastRebuild.then(() => this.#rebuilt.find(chunk) ?? this.#rebuild(chunk));
    this.#lastRebuild = turn.catch(() => {});
    return turn;
  }

  async #rebuild(chunk: ChunkDigest): Promise<string | undefined> {
    for (const image of this.#deltasWith(chunk)) {
      const payload = this.#payloads.get(image);
      const base = this.#history.deltas.get(image);
      if (payload === undefined || base === undefined) continue;
      try {
        await this.#rebuildGroup(image, base, payload, payload.chunks.indexOf(chunk));
      } catch (error) {
        throw isRottenDelta(error) ? new RottenDeltaError(image, error) : error;
      }
      return this.#rebuilt.find(chunk);
    }
    return undefined;
  }

  /** The whole group is decoded for any of its chunks. */
  async #rebuildGroup(
    image: ImageDigest,
    base: ImageDigest,
    payload: Payload,
    wanted: number,
  ): Promise<void> {
    await using delta = await this.#openDelta(image, this.#history.deltaPath(image), base, payload);
    for (const [index, digest] of payload.chunks.entries()) {
      if (digest === null || groupOfChunk(index) !== groupOfChunk(wanted)) continue;
      const bytes = await delta.readChunk(index);
      if (bytes !== null) await this.#rebuilt.put(digest, await encodeChunk(bytes));
    }
  }

  async #openDelta(
    image: ImageDigest,
    path: string,
    base: ImageDigest,
    payload: Payload,
  ): Promise<OpenDelta> {
    return await openDelta(path, { from: base, to: image, payload }, await this.#wholeReader(base));
  }

  /** Reads a delta to its end; the disk has a rest after each chunk as long as the chunk took. */
  async #findFault(
    image: ImageDigest,
    path: string,
    base: ImageDigest,
    signal: AbortSignal,
    payload = this.#payloads.get(image),
  ): Promise<{ readonly of: "delta" | "base"; readonly what: string } | undefined> {
    if (payload === undefined) return undefined;
    try {
      await using delta = await this.#openDelta(image, path, base, payload);
      for (const index of payload.chunks.keys()) {
        const beganAt = performance.now();
        await delta.readChunk(index);
        await setTimeout(performance.now() - beganAt, undefined, { signal });
      }
      return undefined;
    } catch (error) {
      if (error instanceof DrpError && error.code === "storage.damaged")
        return { of: "base", what: error.message };
      if (isRottenDelta(error)) return { of: "delta", what: describeErrorChain(error) };
      throw error;
    }
  }

  /** Of an image whose chunks lie in files; a chunk that rots there is not the delta's fault, so each is compared. */
  async #wholeReader(image: ImageDigest): Promise<ImageReader> {
    const payload = await this.#payloadOf(image);
    if (payload === undefined)
      throw damagedStore(`image ${image}, which a delta is over, is not there, or its manifest has rotted`);
    return {
      payload,
      readChunk: async index => {
        const chunk = payload.chunks[index] ?? null;
        if (chunk === null) return null;
        const frame = await this.#frames.readChunk(chunk);
        if (frame === undefined)
          throw damagedStore(`chunk ${index} of ${image}, which a delta is over, is missing`);
        const bytes = await decodeChunk(frame, chunkLength(payload, index)).catch(() => undefined);
        if (bytes !== undefined && chunkDigest(bytes) === chunk) return bytes;
        throw damagedStore(`chunk ${index} of ${image}, which a delta is over, has rotted`);
      },
    };
  }

  async #placeOf(chunk: ChunkDigest | null): Promise<ChunkPlace> {
    const path = chunk === null ? undefined : await this.findChunk(chunk);
    return path === undefined
      ? { kind: "lost", because: `chunk ${chunk} is missing` }
      : { kind: "file", path };
  }

  async #payloadOf(image: ImageDigest): Promise<Payload | undefined> {
    const base = this.#history.bases.get(image);
    if (base !== undefined) return base.payloads[0];
    return (await this.#readSound(image))?.payloads[0];
  }

  /** Bytes of the files that go when the image becomes a delta. */
  async #measureOwn(image: ImageDigest, payload: Payload): Promise<number> {
    let sizeBytes = 0;
    for (const chunk of new Set(payload.chunks)) {
      if (chunk === null || this.#whole.imagesWith(chunk).some(other => other !== image)) continue;
      const path = await this.#frames.findChunk(chunk);
      if (path !== undefined) sizeBytes += (await stat(path)).size;
    }
    return sizeBytes;
  }

  async #takeUp(): Promise<void> {
    const visible = new Set(await this.#frames.listManifests());
    const { deltas, bases, damagedBases } = this.#history;
    for (const image of [...deltas.keys()]) if (!visible.has(image)) await this.#history.drop(image);
    for (const base of [...damagedBases]) {
      if (this.#history.dependantsOf(base).length === 0) await this.#history.dropBase(base);
      else this.#unread.add(base);
    }
    // Its header names nobody: it is no delta any more.
    for (const [image, base] of [...deltas]) {
      if (!visible.has(base) && !bases.has(base) && !damagedBases.has(base))
        await this.#history.quarantine(image, join(this.location, "quarantine"));
    }
    for (const [base, manifest] of bases) this.#whole.add(base, chunksOf(manifest));
    for (const image of visible) {
      this.#unread.add(image);
      await this.#learn(image);
    }
    if (this.#unread.size > 0) return;
    // What a crash left between the last delta's end and its base's.
    for (const base of [...bases.keys()]) await this.#releaseBase(base);
  }

  /** What an image needs, from its manifest; one that has rotted stays unread, and a scrub says so. */
  async #learn(image: ImageDigest): Promise<void> {
    const manifest = await this.#readSound(image);
    const [payload] = manifest?.payloads ?? [];
    if (manifest === undefined || payload === undefined) return;
    if (this.#history.deltas.has(image)) this.#learnDelta(image, manifest, payload);
    else this.#whole.add(image, chunksOf(manifest));
    await this.#history.dropBase(image);
    this.#unread.delete(image);
  }

  /** Undefined for a manifest that has rotted. */
  async #readSound(image: ImageDigest): Promise<Manifest | undefined> {
    try {
      const signed = await this.#frames.readManifest(image);
      return signed === undefined || imageDigest(signed.manifestText) !== image
        ? undefined
        : readManifestText(signed.manifestText);
    } catch (error) {
      unlessDamaged(error);
      return undefined;
    }
  }

  #learnDelta(image: ImageDigest, manifest: Manifest, payload: Payload): void {
    this.#payloads.set(image, payload);
    this.#derived.add(
      image,
      payload.chunks.filter(chunk => chunk !== null),
    );
    this.#whole.add(
      image,
      manifest.attachments.flatMap(({ chunks }) => chunks.filter(chunk => chunk !== null)),
    );
  }

  /** What must be in files, and what may go, is decided by one at a time. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(task);
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }
}

/** Of which image the delta is no delta any more; why is the cause. */
class RottenDeltaError extends Error {
  readonly image: ImageDigest;

  constructor(image: ImageDigest, cause: unknown) {
    super(`the delta of ${image} has rotted`, { cause });
    this.image = image;
  }
}

/** Not: that what it is over has suffered. */
function isRottenDelta(error: unknown): boolean {
  const { code } = error as { code?: string };
  return (
    error instanceof DecodeError ||
    code === "EIO" ||
    code === "ENOENT" ||
    (error instanceof DrpError && error.code === "bundle.tampered")
  );
}

function unlessDamaged(error: unknown): void {
  if (!(error instanceof DrpError && error.code === "storage.damaged")) throw error;
}

function parseManifest({ manifestText }: SignedManifest): Manifest {
  return manifestSchema.parse(JSON.parse(manifestText));
}

function chunksOf({ payloads, attachments }: Manifest): ChunkDigest[] {
  return [...payloads, ...attachments].flatMap(({ chunks }) => chunks).filter(chunk => chunk !== null);
}
