/** The hub's one scrub of its images: begun by a person, followed by anyone, each finding an event for whoever is on call. */
import { shortDigest } from "../core/bytes.ts";
import { DrpError, describeErrorChain } from "../core/errors.ts";
import type { Clock } from "../core/time.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { ScrubFinding, ScrubReport } from "../images/io/scrub.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { NewEvent, Store } from "../store/ports.ts";
import { audit } from "./audit.ts";
import type { Caller } from "./route.ts";
import type { ImageScrubState } from "./wire.ts";

/** A disk that fails as a whole must not fill the event log; the report counts them all. */
const TOLD_CHUNKS = 100;
const PUSH_AGAIN = "push the same bundle again, and check the disk";

export interface ImageScrubDeps {
  readonly registry: Pick<ImageRegistry, "scrub">;
  readonly store: Store;
  readonly clock: Clock;
  /** Ends a scrub that runs. */
  readonly stopping: AbortSignal;
}

export class ImageScrub {
  readonly #deps: ImageScrubDeps;
  readonly #store: Store;
  readonly #clock: Clock;
  #state: ImageScrubState = {
    state: "never",
    startedAt: null,
    endedAt: null,
    share: 0,
    checkedChunks: 0,
    checkedBytes: 0,
    removedOrphans: 0,
    rottenChunks: 0,
    damagedImages: [],
    failure: null,
  };

  constructor(deps: ImageScrubDeps) {
    this.#deps = deps;
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  get state(): ImageScrubState {
    return this.#state;
  }

  /** Begins one, unless one is running: then that one is followed. */
  async begin(caller: Caller): Promise<ImageScrubState> {
    if (this.#state.state === "running") return this.#state;
    const startedAt = this.#clock();
    const before = this.#state;
    this.#state = {
      ...{ state: "running", startedAt, endedAt: null, share: 0, checkedChunks: 0, checkedBytes: 0 },
      ...{ removedOrphans: 0, rottenChunks: 0, damagedImages: [], failure: null },
    };
    try {
      await this.#store.commit([
        audit({
          kind: "images.scrub-begun",
          at: startedAt,
          caller,
          did: "began to check every image's chunks",
        }),
      ]);
    } catch (error) {
      // Nothing runs: the next one may try.
      this.#state = before;
      throw error;
    }
    void this.#run();
    return this.#state;
  }

  async #run(): Promise<void> {
    const { registry, stopping } = this.#deps;
    try {
      const report = await registry.scrub({
        onProgress: progress => {
          this.#state = { ...this.#state, ...progress };
        },
        onFinding: finding => this.#note(finding),
        signal: stopping,
      });
      await this.#end(report);
    } catch (error) {
      const failure = describeErrorChain(error);
      this.#state = { ...this.#state, state: "failed", endedAt: this.#clock(), failure };
      if (stopping.aborted) return;
      const advice = error instanceof DrpError && error.advice !== undefined ? ` ${error.advice}` : "";
      // Nobody listens any more where the store itself fails.
      await this.#tell(
        "images.scrub-failed",
        "alarm",
        `the scrub of the images failed: ${failure}.${advice}`,
      ).catch(() => {});
    }
  }

  async #end(report: ScrubReport): Promise<void> {
    const { checkedChunks, removedOrphans, rottenChunks } = report;
    const damaged = this.#state.damagedImages.length;
    const summary =
      `checked ${checkedChunks} chunks: ${rottenChunks} rotten, ${damaged} images damaged, ` +
      `${removedOrphans} left over from broken uploads removed`;
    const { damagedImages } = this.#state;
    try {
      await this.#tell("images.scrubbed", damaged > 0 ? "warning" : "info", summary, { ...report });
    } finally {
      // Who asks hears what it found, also where the log cannot be written: then that is the failure.
      this.#state = { ...this.#state, ...report, damagedImages, ...DONE, endedAt: this.#clock() };
    }
  }

  async #note(finding: ScrubFinding): Promise<void> {
    if (finding.kind === "rotten-chunk") {
      const rottenChunks = this.#state.rottenChunks + 1;
      this.#state = { ...this.#state, rottenChunks };
      if (rottenChunks > TOLD_CHUNKS) return;
      const { chunk, fault, keptAt } = finding;
      await this.#tell(
        "images.chunk-rotten",
        "alarm",
        `chunk ${chunk.slice(0, 12)} has rotted: it ${fault}; moved to ${keptAt}`,
        { chunk, keptAt },
      );
      return;
    }
    const { image } = finding;
    const name = await this.#nameOf(image);
    if (finding.kind === "rotten-delta") {
      const where = finding.keptAt === null ? "" : `; moved to ${finding.keptAt}`;
      const summary = `the delta that keeps ${name ?? shortDigest(image)} cannot be read: it ${finding.fault}${where}`;
      await this.#tell("images.delta-rotten", "alarm", summary, { image });
      return;
    }
    const missingChunks = finding.kind === "incomplete-image" ? finding.missingChunks : null;
    const damagedImages = [...this.#state.damagedImages, { digest: image, name, missingChunks }];
    this.#state = { ...this.#state, damagedImages };
    const what =
      missingChunks === null ? "its manifest cannot be read" : `${missingChunks} of its chunks are lost`;
    await this.#tell(
      "image.damaged",
      "alarm",
      `${name ?? shortDigest(image)} cannot be installed where it is not yet: ${what}; ${PUSH_AGAIN}`,
      { image, ...(missingChunks === null ? {} : { missingChunks }) },
    );
  }

  async #nameOf(digest: ImageDigest): Promise<string | null> {
    const [image] = await this.#store.findImages(digest);
    return image === undefined ? null : `${image.name}:${image.version}`;
  }

  async #tell(
    kind: string,
    severity: NewEvent["severity"],
    summary: string,
    facts: NewEvent["facts"] = {},
  ): Promise<void> {
    await this.#store.commit([
      {
        kind: "append-event",
        event: {
          at: this.#clock(),
          kind,
          severity,
          siteId: null,
          machineId: null,
          mac: null,
          summary,
          facts,
        },
      },
    ]);
  }
}

const DONE = { state: "done", failure: null } as const;
