/**
 * Makes deltas on demand and keeps them: each pair once, one at a time, in a process of its own. What a pair came to is remembered
 * also where there is no delta.
 */
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../core/time.ts";
import { type DeltaRecord, deltaRecordSchema, judgeDelta, planRemoval } from "../delta/kept-deltas.ts";
import type { ChunkPlace, ChunkQuestion, DeltaImage } from "../delta/process-messages.ts";
import type { DeltaOffer, DeltaSource } from "../delta-source.ts";
import type { ImageReader } from "../image-reader.ts";
import type { ImageDigest } from "../manifest.ts";
import { parseManifest } from "../parse-manifest.ts";
import { type DeltaProcessOptions, runDeltaJob } from "./delta-process.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";
import type { ImageRegistry } from "./registry.ts";

export interface DeltaDeskOptions {
  /** Made when missing; nobody else writes there. */
  readonly dir: string;
  readonly registry: Pick<ImageRegistry, "manifest" | "findChunk" | "openImage">;
  readonly command: DeltaProcessOptions["command"];
  /** Of all deltas together. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly onError: (context: string, error: unknown) => void;
}

interface Pair {
  readonly from: ImageDigest;
  readonly to: ImageDigest;
}

interface Kept extends Pair {
  readonly record: DeltaRecord;
  offeredAt: number;
}

interface Job extends Pair {
  readonly askedBy: string;
  doneBytes: number;
  totalBytes: number;
}

/** Beyond these an ask is answered and forgotten, and comes again. */
const MAX_WAITING = 64;
/** A site brings two images at once. */
const MAX_WAITING_OF_ONE = 2;
/** What failed is tried again, but not with every ask: it may have taken minutes. */
const RETRY_AFTER_MS = 10 * 60_000;

export class DeltaDesk implements DeltaSource {
  readonly #options: DeltaDeskOptions;
  /** By name of the pair. */
  readonly #kept = new Map<string, Kept>();
  readonly #failed = new Map<string, { readonly because: string; readonly at: number }>();
  /** In order; the first one is in work. */
  readonly #jobs = new Map<string, Job>();
  readonly #stopping = new AbortController();
  #working: Promise<void> = Promise.resolve();

  private constructor(options: DeltaDeskOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier run kept, and removes what it left unfinished. @throws errno */
  static async open(options: DeltaDeskOptions): Promise<DeltaDesk> {
    await mkdir(options.dir, { recursive: true });
    await removeUnfinished(options.dir);
    const desk = new DeltaDesk(options);
    await desk.#takeUp();
    await desk.#dropRemoved();
    return desk;
  }

  async offer(from: ImageDigest, to: ImageDigest, askedBy: string): Promise<DeltaOffer> {
    if (from === to) return { kind: "none", because: "both are the same image" };
    const name = nameOf({ from, to });
    for (const digest of [from, to]) {
      if ((await this.#options.registry.manifest(digest)) === undefined) {
        await this.#remove(name);
        return { kind: "none", because: `${digest} is not on the hub` };
      }
    }
    const now = this.#options.clock();
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      kept.offeredAt = now;
      const { record } = kept;
      if (record.kind === "none") return { kind: "none", because: record.because };
      const { sizeBytes, sha256 } = record;
      return { kind: "delta", path: this.#path(name, "delta"), sizeBytes, sha256 };
    }
    const failed = this.#failed.get(name);
    if (failed !== undefined && now - failed.at < RETRY_AFTER_MS) {
      return { kind: "none", because: failed.because };
    }
    const { doneBytes, totalBytes } = this.#order(name, { from, to, askedBy, doneBytes: 0, totalBytes: 0 });
    return { kind: "computing", doneBytes, totalBytes };
  }

  findOffered(from: ImageDigest, to: ImageDigest, sha256: string): string | undefined {
    const name = nameOf({ from, to });
    const kept = this.#kept.get(name);
    if (kept?.record.kind !== "delta" || kept.record.sha256 !== sha256) return undefined;
    kept.offeredAt = this.#options.clock();
    return this.#path(name, "delta");
  }

  /** Ends the work; what was in it is made again when somebody asks. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#working;
  }

  #order(name: string, job: Job): Job {
    const known = this.#jobs.get(name);
    if (known !== undefined) return known;
    if (this.#stopping.signal.aborted || this.#jobs.size >= MAX_WAITING) return job;
    const ofOne = [...this.#jobs.values()].filter(({ askedBy }) => askedBy === job.askedBy);
    if (ofOne.length >= MAX_WAITING_OF_ONE) return job;
    this.#jobs.set(name, job);
    this.#working = this.#working.then(() => this.#work(name, job));
    return job;
  }

  /** Never rejects. */
  async #work(name: string, job: Job): Promise<void> {
    try {
      if (this.#stopping.signal.aborted) return;
      await this.#dropRemoved();
      const record = await this.#make(name, job);
      await this.#keep(name, { from: job.from, to: job.to, record, offeredAt: this.#options.clock() });
      this.#failed.delete(name);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#options.onError(`delta from ${job.from} to ${job.to}`, error);
      const because = error instanceof Error ? error.message : String(error);
      this.#failed.set(name, { because, at: this.#options.clock() });
    } finally {
      this.#jobs.delete(name);
    }
  }

  async #make(name: string, job: Job): Promise<DeltaRecord> {
    const [from, to] = await Promise.all([this.#describe(job.from), this.#describe(job.to)]);
    job.totalBytes = from.payload.sizeBytes + to.payload.sizeBytes;
    await removeUnfinished(this.#options.dir);
    const made = await runDeltaJob(
      { from, to, path: this.#path(name, "delta") },
      {
        command: this.#options.command,
        placeOf: question => this.#findPlace(question, question.image === "from" ? from : to),
        onBytesDone: doneBytes => {
          job.doneBytes = doneBytes;
        },
        signal: this.#stopping.signal,
      },
    );
    return judgeDelta(made);
  }

  async #describe(digest: ImageDigest): Promise<DeltaImage> {
    const signed = await this.#options.registry.manifest(digest);
    if (signed === undefined) throw new Error(`${digest} was removed`);
    const [payload] = parseManifest(signed.manifestText).payloads;
    if (payload === undefined) throw new Error(`${digest} has no payload`);
    return { digest, payload };
  }

  /** An image that is kept as a delta itself has no chunks in files: it is read here. */
  async #findPlace({ index }: ChunkQuestion, { digest, payload }: DeltaImage): Promise<ChunkPlace> {
    const chunk = payload.chunks[index] ?? null;
    const path = chunk === null ? undefined : await this.#options.registry.findChunk(chunk);
    if (path !== undefined) return { kind: "file", path };
    const reader: ImageReader | undefined = await this.#options.registry.openImage(digest);
    const bytes = await reader?.readChunk(index);
    return bytes ? { kind: "bytes", bytes } : { kind: "lost", because: `${digest} was removed` };
  }

  /** The record comes last: where it is, its delta is. */
  async #keep(name: string, kept: Kept): Promise<void> {
    if (kept.record.kind === "none") await rm(this.#path(name, "delta"), { force: true });
    await syncDirectory(this.#options.dir);
    await writeWhole(this.#path(name, "json"), JSON.stringify(kept.record));
    await syncDirectory(this.#options.dir);
    this.#kept.set(name, kept);
    const sizes = new Map(
      Array.from(this.#kept, ([name, { record, offeredAt }]) => {
        const sizeBytes = record.kind === "delta" ? record.sizeBytes : 0;
        return [name, { sizeBytes, offeredAt }] as const;
      }),
    );
    for (const name of planRemoval(sizes, this.#options.maxBytes, this.#options.clock())) {
      await this.#remove(name);
    }
  }

  async #takeUp(): Promise<void> {
    const { dir } = this.#options;
    const names = new Set<string>();
    for (const file of await readdir(dir)) names.add(file.replace(/\.(delta|json)$/, ""));
    for (const name of names) {
      const kept = await this.#read(name).catch(() => undefined);
      if (kept === undefined) await this.#remove(name);
      else this.#kept.set(name, kept);
    }
  }

  /** @throws what makes it worthless */
  async #read(name: string): Promise<Kept> {
    const [, from, to] = /^([0-9a-f]{64})-([0-9a-f]{64})$/.exec(name) ?? [];
    if (from === undefined || to === undefined) throw new RangeError(name);
    const record = deltaRecordSchema.parse(JSON.parse(await readFile(this.#path(name, "json"), "utf8")));
    const file = await stat(this.#path(name, record.kind === "delta" ? "delta" : "json"));
    if (record.kind === "delta" && file.size !== record.sizeBytes) throw new RangeError(name);
    return { from: `sha256:${from}`, to: `sha256:${to}`, record, offeredAt: file.mtimeMs };
  }

  /** What belongs to images that are gone. Where that cannot be seen now (a store out of reach), it stays. */
  async #dropRemoved(): Promise<void> {
    const { registry, onError } = this.#options;
    try {
      for (const [name, { from, to }] of this.#kept) {
        const manifests = await Promise.all([registry.manifest(from), registry.manifest(to)]);
        if (manifests.includes(undefined)) await this.#remove(name);
      }
    } catch (error) {
      onError("deltas of removed images", error);
    }
  }

  /** The record goes first: without it, a delta is nothing. */
  async #remove(name: string): Promise<void> {
    this.#kept.delete(name);
    await rm(this.#path(name, "json"), { force: true });
    await rm(this.#path(name, "delta"), { force: true });
  }

  #path(name: string, kind: "delta" | "json"): string {
    return join(this.#options.dir, `${name}.${kind}`);
  }
}

function nameOf({ from, to }: Pair): string {
  return [from, to].map(digest => digest.slice("sha256:".length)).join("-");
}
