/**
 * The images of a site. What its machines need comes over the WAN once, begins when the view orders it or a machine asks, and
 * is checked before it is kept and before it is served. Only images that the view or a registered machine has named are
 * fetched: boot HTTP is open to strangers, the WAN is not.
 */
import { join } from "node:path";
import { shortDigest } from "../../../core/bytes.ts";
import { DrpError } from "../../../core/errors.ts";
import type { Clock, EpochMs } from "../../../core/time.ts";
import type { ChunkDigest, ImageDigest } from "../../../images/manifest.ts";
import type { SignedManifest } from "../../protocol.ts";
import { signatureCounts } from "../signature-counts.ts";
import type { BootEvent, SiteView } from "../view.ts";
import { ChunkArrivals, shortReason } from "./chunk-arrivals.ts";
import type { HubClient } from "./hub-client.ts";
import { HubDownloads } from "./hub-downloads.ts";
import { ImageCache, type KnownImage } from "./image-cache.ts";
import { ImageTransfer, type TransferContext } from "./image-transfer.ts";
import { WanMeter } from "./wan-meter.ts";

export interface SiteImagesOptions {
  readonly hub: Pick<HubClient, "manifest" | "planTransfer" | "readRange">;
  readonly folder: string;
  readonly view: SiteView;
  /** Of the images on this site's disk; null: as much as the disk holds. */
  readonly cacheBytes: number | null;
  readonly clock: Clock;
  /** Milliseconds that never go back. */
  readonly uptime: () => number;
  /** 0 … 1, for the spread of retries. */
  readonly random: () => number;
  /** For the hub. */
  readonly report: (event: BootEvent) => void;
}

/** A machine calls its site dead after 20 s; before that it is told to ask again. */
const HOLD_MS = 15_000;
/** What failed for good, as far as one can tell, is tried again while the view orders it. */
const RETRY_MS = 60_000;
/** Each takes some 20 MiB of memory at most. */
const TRANSFERS_AT_ONCE = 2;
/** A machine that fetches an image asks for its chunks all the time. */
const ASKED_MS = 60 * 60_000;

interface Job {
  readonly image: KnownImage;
  readonly transfer: ImageTransfer;
  readonly done: Promise<void>;
}

export class SiteImages {
  readonly #options: SiteImagesOptions;
  readonly #cache: ImageCache;
  readonly #meter: WanMeter;
  readonly #downloads: HubDownloads;
  readonly #arrivals = new ChunkArrivals();
  readonly #inFlight: TransferContext["inFlight"] = new Map();
  readonly #stopping = new AbortController();
  readonly #jobs = new Map<ImageDigest, Job>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  /** Machines that want the same manifest at the same moment share one fetch. */
  readonly #fetching = new Map<ImageDigest, Promise<KnownImage | undefined>>();
  /** Registered machines have asked for these: when they did last. */
  readonly #asked = new Map<ImageDigest, EpochMs>();
  readonly #retries = new Map<ImageDigest, NodeJS.Timeout>();
  #view: SiteView;

  private constructor(options: SiteImagesOptions, cache: ImageCache, meter: WanMeter) {
    this.#options = options;
    this.#cache = cache;
    this.#meter = meter;
    this.#view = options.view;
    this.#downloads = new HubDownloads(options.hub, meter, options.random);
  }

  static async open(options: SiteImagesOptions): Promise<SiteImages> {
    const { folder, view, clock } = options;
    const cache = await ImageCache.open(folder, clock);
    const meter = await WanMeter.open(join(folder, "budget.json"), view, clock);
    const images = new SiteImages(options, cache, meter);
    images.follow(view);
    return images;
  }

  /** Begins with what the view orders and this site lacks; limits count from now on. */
  follow(view: SiteView): void {
    this.#view = view;
    this.#meter.follow(view);
    for (const image of orderedImages(view)) this.#need(image);
  }

  /** Undefined when neither this site nor the hub holds it. @throws {DrpError} hub.unreachable; bundle.tampered */
  async signedManifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    const image = await this.#learn(digest);
    if (image === undefined) return undefined;
    this.#asked.set(digest, this.#options.clock());
    this.#start(image);
    return image.signed;
  }

  /**
   * Waits a while for a chunk that is on its way.
   *
   * @returns the file of a zstd frame; undefined when no image that this site needs names the chunk
   * @throws {DrpError} timed-out while it is still coming; hub.unreachable, bundle.tampered, storage.full …: what holds it up
   */
  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    const images = this.#cache.imagesWith(digest);
    for (const image of images) this.#askAgain(image.digest);
    const kept = await this.#cache.findChunk(digest);
    if (kept !== undefined) return kept;
    const image = images.find(known => this.#isWanted(known.digest));
    if (image === undefined) return undefined;
    const arrived = this.#arrivals.wait(digest, HOLD_MS);
    this.#start(image).transfer.hurry(digest);
    await arrived;
    return await this.#cache.findChunk(digest);
  }

  /** Resolves when nothing is written any more. What came stays for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#retries.values()) clearTimeout(timer);
    for (const begin of this.#queue.splice(0)) begin();
    await Promise.allSettled(Array.from(this.#jobs.values(), ({ done }) => done));
  }

  #isWanted(image: ImageDigest): boolean {
    return this.#askedImages().has(image) || orderedImages(this.#view).has(image);
  }

  #askAgain(image: ImageDigest): void {
    if (this.#asked.has(image)) this.#asked.set(image, this.#options.clock());
  }

  /** Forgets those for which nobody has asked for long, unless the view names them. */
  #askedImages(): ReadonlySet<ImageDigest> {
    const named = new Set([...this.#view.keptImages, ...orderedImages(this.#view)]);
    const now = this.#options.clock();
    for (const [image, askedAt] of this.#asked) {
      if (now - askedAt > ASKED_MS && !named.has(image)) this.#asked.delete(image);
    }
    return new Set(this.#asked.keys());
  }

  /** The whole way from a name to an image on this disk, without anybody waiting for it. */
  #need(digest: ImageDigest): void {
    this.#learn(digest)
      .then(image => {
        if (image === undefined || this.#stopping.signal.aborted) return;
        if (this.#cache.missingChunks(image).length > 0) this.#start(image);
      })
      .catch(error => this.#noteUnknown(digest, error));
    void this.#cache.noteNeed(digest);
  }

  #noteUnknown(digest: ImageDigest, error: unknown): void {
    // Of a hub that is away the line itself is told of.
    const isAway = error instanceof DrpError && error.code === "hub.unreachable";
    if (!isAway && !this.#stopping.signal.aborted) {
      const summary = `the manifest of ${shortDigest(digest)} does not come: ${shortReason(error)}`;
      this.#options.report({ kind: "image.failed", summary, facts: { image: digest } });
    }
    this.#tryLater(digest);
  }

  #tryLater(digest: ImageDigest): void {
    if (this.#stopping.signal.aborted || this.#retries.has(digest)) return;
    const timer = setTimeout(() => {
      this.#retries.delete(digest);
      if (this.#isWanted(digest)) this.#need(digest);
    }, RETRY_MS);
    timer.unref();
    this.#retries.set(digest, timer);
  }

  async #learn(digest: ImageDigest): Promise<KnownImage | undefined> {
    const known = this.#cache.image(digest);
    if (known === undefined) return await this.#fetchOnce(digest);
    const { clock } = this.#options;
    if (signatureCounts(known.signed.signature, this.#view.keyLists, clock())) return known;
    // Signed anew, perhaps, since its key went; where the hub is away or has nothing newer, machines say why they refuse it.
    return (await this.#fetchOnce(digest).catch(() => undefined)) ?? known;
  }

  async #fetchOnce(digest: ImageDigest): Promise<KnownImage | undefined> {
    const running = this.#fetching.get(digest);
    if (running !== undefined) return await running;
    const fetched = this.#fetchManifest(digest).finally(() => this.#fetching.delete(digest));
    this.#fetching.set(digest, fetched);
    return await fetched;
  }

  async #fetchManifest(digest: ImageDigest): Promise<KnownImage | undefined> {
    const signed = await this.#options.hub.manifest(digest);
    if (signed === undefined) return undefined;
    const image = await this.#cache.keepManifest(digest, signed);
    if (image !== undefined) return image;
    throw new DrpError(
      "bundle.tampered",
      `the manifest ${digest} came from the hub with other bytes than its name says`,
      {
        advice: "Push the image again; if it happens again, check the hub's disk.",
      },
    );
  }

  #start(image: KnownImage): Job {
    const running = this.#jobs.get(image.digest);
    if (running !== undefined) return running;
    const transfer = new ImageTransfer(this.#context(), image);
    const done = this.#turn(() => transfer.run())
      .catch(error => this.#noteFailure(image, error))
      .finally(() => this.#jobs.delete(image.digest));
    const job = { image, transfer, done };
    this.#jobs.set(image.digest, job);
    return job;
  }

  #noteFailure(image: KnownImage, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#arrivals.fail(image.chunks, error);
    const { digest, name } = image;
    const summary = `${name} does not come: ${shortReason(error)}`;
    this.#options.report({ kind: "image.failed", summary, facts: { image: digest, name } });
    this.#tryLater(digest);
  }

  /** A few at a time, the others in their order. */
  async #turn(run: () => Promise<void>): Promise<void> {
    if (this.#running >= TRANSFERS_AT_ONCE) await new Promise<void>(resolve => this.#queue.push(resolve));
    this.#stopping.signal.throwIfAborted();
    this.#running++;
    try {
      await run();
    } finally {
      this.#running--;
      this.#queue.shift()?.();
    }
  }

  #context(): TransferContext {
    const { hub, clock, uptime, report } = this.#options;
    return {
      hub,
      clock,
      uptime,
      report,
      downloads: this.#downloads,
      cache: this.#cache,
      arrivals: this.#arrivals,
      inFlight: this.#inFlight,
      signal: this.#stopping.signal,
      makeRoom: bytes => this.#makeRoom(bytes),
      freeDisk: bytes => this.#freeDisk(bytes),
      isUrgent: image => this.#view.machines.some(({ intent }) => intent?.image === image),
    };
  }

  async #makeRoom(moreBytes: number): Promise<void> {
    const { cacheBytes } = this.#options;
    const overBytes = this.#cache.usedBytes + moreBytes - (cacheBytes ?? Number.POSITIVE_INFINITY);
    if (overBytes > 0) await this.#cache.free(overBytes, this.#keptImages());
  }

  async #freeDisk(bytes: number): Promise<boolean> {
    return (await this.#cache.free(bytes, this.#keptImages())) > 0;
  }

  #keptImages(): ReadonlySet<ImageDigest> {
    const bases = Array.from(this.#jobs.values(), ({ transfer }) => transfer.base);
    return new Set([
      ...bases.filter(base => base !== undefined),
      ...this.#view.keptImages,
      ...orderedImages(this.#view),
      ...this.#askedImages(),
      ...this.#jobs.keys(),
    ]);
  }
}

/** What machines are to install or to run: for these the line is used. */
function orderedImages({ machines }: SiteView): ReadonlySet<ImageDigest> {
  const images = machines.flatMap(({ intent, target }) => [intent?.image, target?.image]);
  return new Set(images.filter(image => image !== undefined));
}
