/**
 * Brings one image to the site, once: as the delta that the hub offers, or in the chunks that are missing here. It goes on
 * through cuts of the line, spent budgets and full disks, and says what holds it up. What has come stays, also over a
 * restart.
 */
import { setTimeout as delay } from "node:timers/promises";
import { formatBytes } from "../../../core/bytes.ts";
import { DrpError } from "../../../core/errors.ts";
import { type Clock, formatDuration } from "../../../core/time.ts";
import { keepsWaiting } from "../../../images/choose-transfer.ts";
import { encodeChunkBitmap } from "../../../images/chunk-bitmap.ts";
import { encodeChunk } from "../../../images/io/chunk-codec.ts";
import { findFrameFault } from "../../../images/io/inspect-chunk.ts";
import { TaskWindow } from "../../../images/io/task-window.ts";
import type { ChunkDigest, ImageDigest } from "../../../images/manifest.ts";
import { MAX_FRAME_BYTES } from "../../../images/zstd-frames.ts";
import { retryDelayMs } from "../../machine/backoff.ts";
import type { TransferAnswer } from "../../site-protocol.ts";
import type { BootEvent } from "../view.ts";
import { type ChunkArrivals, shortReason } from "./chunk-arrivals.ts";
import { downloadDelta } from "./delta-download.ts";
import type { HubClient } from "./hub-client.ts";
import type { HubDownloads } from "./hub-downloads.ts";
import type { ImageCache, KnownImage } from "./image-cache.ts";
import type { LineHold } from "./wan-meter.ts";

export interface TransferContext {
  readonly hub: Pick<HubClient, "planTransfer">;
  readonly downloads: HubDownloads;
  readonly cache: ImageCache;
  readonly arrivals: ChunkArrivals;
  /** Of all images that come at once: what they share comes for the first that asks. Never rejects. */
  readonly inFlight: Map<ChunkDigest, Promise<void>>;
  readonly clock: Clock;
  /** Milliseconds that never go back. */
  readonly uptime: () => number;
  readonly signal: AbortSignal;
  /** Gives up images that nobody needs, where so much more would pass the size that the cache may have. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  /** Gives up images that nobody needs, for room on the disk itself. @returns whether there were any */
  readonly freeDisk: (bytes: number) => Promise<boolean>;
  /** Whether a machine is ordered to install it. */
  readonly isUrgent: (image: ImageDigest) => boolean;
  readonly report: (event: BootEvent) => void;
}

/** More would not come sooner over a thin line; on a fast one four hide its latency. */
const CHUNKS_AT_ONCE = 4;
const COMPUTING_POLL_MS = 2000;
const DISK_RETRY_MS = 30_000;
/** A hub whose disk rots gives the same bytes each time. */
const MAX_TAMPERED = 3;
/** A hub that has lost a delta since it offered it is asked for a new plan so often. */
const MAX_PLANS = 8;
/** The newest are the likeliest to be near. */
const MAX_HELD = 16;

type DeltaPlan = Extract<TransferAnswer, { kind: "delta" }>;
type Plan = Exclude<TransferAnswer, { kind: "computing" }>;

export class ImageTransfer {
  readonly #context: TransferContext;
  readonly #image: KnownImage;
  /** Asked for by machines: they come before the others. */
  readonly #hurried: ChunkDigest[] = [];
  #crossedBytes = 0;
  #base: ImageDigest | undefined;
  /** When the hub first said so, by `uptime`: what an outage takes is not counted, nor a clock that is set. */
  #computingSince: number | undefined;
  readonly #said = new Set<string>();

  constructor(context: TransferContext, image: KnownImage) {
    this.#context = context;
    this.#image = image;
  }

  /** What its delta builds on: to be kept as long as it does. */
  get base(): ImageDigest | undefined {
    return this.#base;
  }

  hurry(chunk: ChunkDigest): void {
    this.#hurried.push(chunk);
  }

  /** @throws {DrpError} bundle.tampered; not-found: the hub does not hold it; and when the site stops */
  async run(): Promise<void> {
    const { cache, clock, arrivals } = this.#context;
    if (cache.missingChunks(this.#image).length === 0) return;
    const startedAt = clock();
    try {
      const plan = await this.#bring();
      await this.#fetchMissing();
      await cache.sync(this.#image.chunks);
      this.#reportDone(plan, clock() - startedAt);
    } catch (error) {
      arrivals.fail(this.#image.chunks, error);
      throw error;
    }
  }

  /** Applies the delta that is worth it, if one is. @returns what was done; the missing chunks are still to come */
  async #bring(): Promise<Plan> {
    const refused = new Set<ImageDigest>();
    for (let plans = 1; ; plans++) {
      const plan = await this.#plan(refused);
      if (plan.kind === "whole" || plans > MAX_PLANS) {
        await this.#context.makeRoom(plan.wholeBytes);
        return { ...plan, kind: "whole" };
      }
      this.#base = plan.from;
      await this.#context.makeRoom(plan.wholeBytes);
      const failure = await this.#applyDelta(plan).finally(() => {
        this.#base = undefined;
      });
      if (failure === undefined) return plan;
      if (failure.code !== "not-found") refused.add(plan.from);
      this.#report("image.delta-dropped", {
        summary: `${this.#image.name}: the delta from ${plan.fromName} is dropped: ${shortReason(failure.error)}`,
        facts: { from: plan.from, sizeBytes: plan.sizeBytes },
      });
    }
  }

  async #plan(refused: ReadonlySet<ImageDigest>): Promise<Plan> {
    const { hub, cache, uptime, signal, isUrgent } = this.#context;
    const { digest, chunks } = this.#image;
    for (let failures = 0; ; ) {
      signal.throwIfAborted();
      const waitedMs = this.#computingSince === undefined ? 0 : uptime() - this.#computingSince;
      const held = cache.wholeImages().map(image => image.digest);
      const request = {
        held: held.filter(image => image !== digest && !refused.has(image)).slice(0, MAX_HELD),
        missing: encodeChunkBitmap(chunks, chunk => !cache.hasChunk(chunk)),
        waitsForDelta: keepsWaiting(waitedMs, isUrgent(digest)),
      };
      let answer: TransferAnswer | undefined;
      try {
        answer = await hub.planTransfer(digest, request);
      } catch (error) {
        if (!(error instanceof DrpError) || error.code !== "hub.unreachable") throw error;
        signal.throwIfAborted();
        this.#trouble(error);
        await delay(retryDelayMs(++failures, 0.5), undefined, { signal });
        continue;
      }
      if (answer === undefined) throw this.#unknownAtHub();
      if (answer.kind !== "computing") return answer;
      this.#computingSince ??= uptime();
      await delay(COMPUTING_POLL_MS, undefined, { signal });
    }
  }

  /** @returns what went wrong with the delta itself; undefined when the image's payload is whole */
  async #applyDelta(
    plan: DeltaPlan,
  ): Promise<{ readonly code?: string; readonly error: unknown } | undefined> {
    const { cache, downloads, signal } = this.#context;
    const from = cache.image(plan.from);
    if (from === undefined) return { error: new Error("the old image is not here any more") };
    const path = `/deltas/${plan.from}/${this.#image.digest}/${plan.sha256}`;
    const window = new TaskWindow(CHUNKS_AT_ONCE);
    try {
      const rebuilt = downloadDelta({
        cache,
        plan,
        from,
        to: this.#image,
        read: (start, end) => downloads.read({ path, start, end, ...this.#watch() }),
        fetchOldChunk: chunk => this.#download(chunk),
      });
      for await (const { chunk, bytes } of rebuilt) {
        await window.start(async () => this.#keep(chunk, await encodeChunk(bytes)));
      }
      await window.finish();
      return undefined;
    } catch (error) {
      // What was rebuilt before it failed is kept.
      await window.settle();
      signal.throwIfAborted();
      const code = error instanceof DrpError ? error.code : undefined;
      // The disk or the site's membership: not the delta's fault.
      if (code !== undefined && NOT_OF_THE_DELTA.has(code)) throw error;
      return code === undefined ? { error } : { code, error };
    }
  }

  async #fetchMissing(): Promise<void> {
    const { cache } = this.#context;
    const missing = new Set(cache.missingChunks(this.#image));
    const window = new TaskWindow(CHUNKS_AT_ONCE);
    try {
      while (missing.size > 0) {
        await window.start(async () => {
          const chunk = this.#takeNext(missing);
          if (chunk !== undefined) await this.#fetchOnce(chunk);
        });
      }
      await window.finish();
    } finally {
      await window.settle();
    }
  }

  /** Another image may have brought some of them meanwhile. */
  #takeNext(missing: Set<ChunkDigest>): ChunkDigest | undefined {
    const { cache } = this.#context;
    for (let hurried = this.#hurried.shift(); hurried !== undefined; hurried = this.#hurried.shift()) {
      if (missing.delete(hurried) && !cache.hasChunk(hurried)) return hurried;
    }
    for (const chunk of missing) {
      missing.delete(chunk);
      if (!cache.hasChunk(chunk)) return chunk;
    }
    return undefined;
  }

  async #fetchOnce(chunk: ChunkDigest): Promise<void> {
    const { cache, inFlight } = this.#context;
    for (let other = inFlight.get(chunk); other !== undefined; other = inFlight.get(chunk)) await other;
    if (cache.hasChunk(chunk)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    inFlight.set(chunk, promise);
    try {
      await this.#keep(chunk, await this.#download(chunk));
    } finally {
      inFlight.delete(chunk);
      resolve();
    }
  }

  /** @throws {DrpError} bundle.tampered when the hub gives other bytes again and again; not-found */
  async #download(chunk: ChunkDigest): Promise<Buffer> {
    const { downloads, signal } = this.#context;
    for (let failures = 1; ; failures++) {
      const pieces: Buffer[] = [];
      for await (const piece of downloads.read({
        path: `/chunks/${chunk}`,
        start: 0,
        // One byte more than a frame may have shows that it is none.
        end: MAX_FRAME_BYTES + 1,
        ...this.#watch(),
      })) {
        pieces.push(piece);
      }
      const frame = Buffer.concat(pieces);
      const fault = await findFrameFault(chunk, frame);
      if (fault === undefined) return frame;
      const error = new DrpError(
        "bundle.tampered",
        `chunk ${chunk} of ${this.#image.name} came from the hub and ${fault}`,
        {
          advice: "Push the image again; if it happens again, check the hub's disk.",
        },
      );
      if (failures === MAX_TAMPERED) throw error;
      this.#trouble(error);
      await delay(retryDelayMs(failures, 0.5), undefined, { signal });
    }
  }

  /** Waits for room on the disk, if need be, and tells those who wait for the chunk. */
  async #keep(chunk: ChunkDigest, frame: Uint8Array): Promise<void> {
    const { cache, arrivals, freeDisk, signal, clock } = this.#context;
    for (;;) {
      signal.throwIfAborted();
      try {
        await cache.writeChunk(chunk, frame);
        arrivals.arrived(chunk);
        return;
      } catch (cause) {
        if (!isDiskFull(cause)) throw cause;
        if (await freeDisk(ROOM_STEP_BYTES)) continue;
        if (this.#base !== undefined) {
          // Without the old image there may be room for the new one, in chunks.
          this.#base = undefined;
          continue;
        }
        const error = new DrpError(
          "storage.full",
          `${cache.folder} is full: ${this.#image.name} waits for room`,
          {
            advice: "Free space on the site's disk; the transfer goes on by itself.",
            cause,
          },
        );
        this.#hold({ because: error.message, until: clock() + DISK_RETRY_MS }, error, "when there is room");
        await delay(DISK_RETRY_MS, undefined, { signal });
      }
    }
  }

  #watch() {
    return {
      signal: this.#context.signal,
      onBytes: (count: number) => {
        this.#crossedBytes += count;
      },
      onTrouble: (error: unknown) => this.#trouble(error),
      onHold: (hold: LineHold) => {
        const until = new Date(hold.until).toISOString();
        const error = new DrpError("timed-out", `${this.#image.name} waits until ${until}: ${hold.because}`, {
          advice: "Raise the site's budget, or wait: drp sites update SITE --budget 40GB/month",
        });
        this.#hold(hold, error, until);
      },
    };
  }

  /** Machines that wait now are told; they ask again. */
  #trouble(error: unknown): void {
    this.#context.arrivals.fail(this.#image.chunks, error);
    const reason = shortReason(error);
    this.#say("image.stalled", `${this.#image.name} does not come for now: ${reason}`, {});
  }

  #hold({ because, until }: LineHold, error: DrpError, goesOn: string): void {
    this.#context.arrivals.fail(this.#image.chunks, error);
    this.#say("image.held", `${this.#image.name} is held: ${because}; it goes on ${goesOn}`, { until });
  }

  /** The same thing is said once, however often it happens. */
  #say(kind: string, summary: string, facts: BootEvent["facts"]): void {
    if (this.#said.has(summary)) return;
    this.#said.add(summary);
    this.#report(kind, { summary, facts });
  }

  #reportDone(plan: Plan, tookMs: number): void {
    const { name } = this.#image;
    const took = formatDuration(tookMs);
    const crossed = formatBytes(this.#crossedBytes);
    const summary =
      plan.kind === "delta"
        ? `${name} came as a delta of ${crossed} from ${plan.fromName} instead of ${formatBytes(plan.wholeBytes)}, in ${took}`
        : `${name} came in chunks, ${crossed} in ${took} (${plan.reason})`;
    const { wholeBytes, reason } = plan;
    const how = plan.kind === "delta" ? { from: plan.from, deltaBytes: plan.sizeBytes } : {};
    this.#report("image.transferred", {
      summary,
      facts: { how: plan.kind, bytes: this.#crossedBytes, wholeBytes, reason, tookMs, ...how },
    });
  }

  #report(kind: string, { summary, facts }: Omit<BootEvent, "kind">): void {
    const { digest, name } = this.#image;
    this.#context.report({ kind, summary, facts: { image: digest, name, ...facts } });
  }

  #unknownAtHub(): DrpError {
    return new DrpError("not-found", `the hub does not hold ${this.#image.name}`, {
      advice: "Push the image again.",
    });
  }
}

/** One image's worth would be too much to free at once for a chunk. */
const ROOM_STEP_BYTES = 64 * 1024 * 1024;
const NOT_OF_THE_DELTA: ReadonlySet<string> = new Set(["auth.rejected", "site.not-joined"]);

function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
