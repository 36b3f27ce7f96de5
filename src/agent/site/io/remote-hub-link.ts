/**
 * A site's line to a hub elsewhere. Reports go into the outbox on this site's own disk and from there to the hub, in order,
 * as often as it takes; the hub's newest view is on disk as well. With the WAN down, and after a restart with the WAN down,
 * the site goes on with that view and what it has reported since.
 */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { DrpError } from "../../../core/errors.ts";
import { syncDirectory, writeWhole } from "../../../images/io/durable-files.ts";
import { decideKeyLists, parseKeyChain } from "../../../images/key-chain.ts";
import { NO_LIMITS } from "../../../images/transfer-limits.ts";
import { retryDelayMs } from "../../machine/backoff.ts";
import { numberedReportSchema, type SyncAnswer, siteViewSchema } from "../../site-protocol.ts";
import { applyReportToView } from "../apply-report-to-view.ts";
import type { HubLink, SiteReport, SiteView } from "../view.ts";
import type { HubClient } from "./hub-client.ts";
import { OutboxFile } from "./outbox-file.ts";

export interface RemoteHubLinkOptions {
  readonly hub: Pick<HubClient, "sync" | "close">;
  /** Holds the outbox and the hub's view; made where it is missing. */
  readonly folder: string;
  /** What this site is until the hub has told it more. */
  readonly site: { readonly siteId: string; readonly siteName: string };
  /** 0 … 1, for the spread of retries. */
  readonly random: () => number;
  /** Told when the line goes down, why it stays down, and that it is up again. */
  readonly onLine: (state: LineState) => void;
  readonly onError: (context: string, error: unknown) => void;
}

export type LineState =
  | { readonly kind: "up"; readonly waiting: number; readonly droppedBootEvents: number }
  | { readonly kind: "down"; readonly error: unknown };

/** What the hub said last. */
const hubWordSchema = z.object({
  viewRevision: z.int().nonnegative(),
  keptSeq: z.int().nonnegative(),
  view: siteViewSchema,
});
type HubWord = z.infer<typeof hubWordSchema>;

export class RemoteHubLink implements HubLink {
  readonly #options: RemoteHubLinkOptions;
  readonly #outbox: OutboxFile;
  readonly #viewFile: string;
  #word: HubWord;
  /** The hub's view with what it has not heard yet. */
  #view: SiteView;
  readonly #listeners = new Set<(view: SiteView) => void>();
  readonly #stopping = new AbortController();
  #news = Promise.withResolvers<void>();
  #contact = Promise.withResolvers<void>();
  #line: LineState["kind"] | undefined;
  #lastAnswer: Promise<void> = Promise.resolve();
  #loops: Promise<unknown> = Promise.resolve();

  private constructor(options: RemoteHubLinkOptions, outbox: OutboxFile, viewFile: string, word: HubWord) {
    this.#options = options;
    this.#outbox = outbox;
    this.#viewFile = viewFile;
    this.#word = word;
    this.#view = this.#fold();
  }

  /** @throws {DrpError} input.unreadable for a damaged view */
  static async open(options: RemoteHubLinkOptions): Promise<RemoteHubLink> {
    const { folder, site } = options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const viewFile = join(folder, "view.json");
    const word = (await readWord(viewFile)) ?? firstWord(site);
    const outbox = await OutboxFile.open(join(folder, "outbox.journal"), word.keptSeq, damagedLines =>
      options.onError("the outbox was not whole", new Error(`${damagedLines} line(s) could not be read`)),
    );
    return new RemoteHubLink(options, outbox, viewFile, word);
  }

  /** Begins to talk to the hub. */
  start(): void {
    this.#loops = Promise.all([this.#repeat(() => this.#send()), this.#repeat(() => this.#poll())]);
  }

  /** Ends the talk; what the hub has not heard stays in the outbox. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#options.hub.close();
    this.#news.resolve();
    await this.#loops;
    await this.#lastAnswer;
    await this.#outbox.close();
  }

  view(): SiteView {
    return this.#view;
  }

  onViewChanged(listener: (view: SiteView) => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves when the reports are in this site's outbox, on disk. A boot event that the hub would not take is left out. */
  async report(reports: readonly SiteReport[]): Promise<SiteView> {
    const sendable = reports.filter(report => report.kind !== "boot-event" || isSendable(report));
    await this.#outbox.append(sendable);
    this.#view = sendable.reduce(applyReportToView, this.#view);
    this.#news.resolve();
    return this.#view;
  }

  async #send(): Promise<void> {
    const reports = this.#outbox.batch();
    const last = reports.at(-1);
    if (last === undefined) {
      this.#news = Promise.withResolvers();
      return this.#news.promise;
    }
    await this.#sync(reports);
    if (this.#word.keptSeq >= last.seq) return;
    throw new DrpError("internal", `the hub answers, but keeps reports only up to ${this.#word.keptSeq}`);
  }

  #poll(): Promise<void> {
    return this.#sync([]);
  }

  async #sync(reports: Parameters<HubClient["sync"]>[0]["reports"]): Promise<void> {
    const answer = await this.#options.hub.sync({ reports, knownViewRevision: this.#word.viewRevision });
    this.#lastAnswer = this.#lastAnswer.catch(() => {}).then(() => this.#accept(answer));
    await this.#lastAnswer;
    if (this.#line === "up") return;
    this.#line = "up";
    this.#contact.resolve();
    const { entries, droppedBootEvents } = this.#outbox;
    this.#options.onLine({ kind: "up", waiting: entries.length, droppedBootEvents });
  }

  /** An answer that was overtaken by a newer one changes nothing. The view is on disk before what it counts is forgotten. */
  async #accept({ keptSeq, viewRevision, view }: SyncAnswer): Promise<void> {
    if (viewRevision < this.#word.viewRevision) return;
    const kept = Math.max(keptSeq, this.#word.keptSeq);
    const isNew = view !== null && viewRevision > this.#word.viewRevision;
    const word = isNew
      ? { viewRevision, keptSeq: kept, view: this.#withTrust(view) }
      : { ...this.#word, keptSeq: kept };
    if (isNew) {
      await writeWhole(this.#viewFile, JSON.stringify(word));
      await syncDirectory(dirname(this.#viewFile));
    }
    this.#word = word;
    this.#outbox.forgetUpTo(kept);
    if (!isNew) return;
    const before = this.#view;
    this.#view = this.#fold();
    if (JSON.stringify(before) === JSON.stringify(this.#view)) return;
    for (const listener of this.#listeners) listener(this.#view);
  }

  /** A hub in wrong hands must not bring keys of its own: lists count only when they follow from those that are known here. */
  #withTrust(view: SiteView): SiteView {
    const { keyLists } = this.#word.view;
    const decision = decideKeyLists(parseKeyChain(keyLists), view.keyLists);
    if (decision.kind === "accepted") {
      return { ...view, keyLists: decision.chain.map(({ signed }) => signed) };
    }
    if (decision.kind === "refused") {
      const { reason, advice } = decision;
      const error = new DrpError("key-list.rejected", reason, { advice });
      this.#options.onError("the hub's key lists are refused; those of before count", error);
    }
    return { ...view, keyLists };
  }

  #fold(): SiteView {
    return this.#outbox.entries.reduce(
      (view, { report }) => applyReportToView(view, report),
      this.#word.view,
    );
  }

  /** Over and over, later after each failure in a row, and at once when the other loop has reached the hub. */
  async #repeat(turn: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await turn();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        this.#noteDown(error);
        const waitMs = retryDelayMs(failures, this.#options.random());
        await Promise.race([delay(waitMs, undefined, { signal }), this.#contact.promise]).catch(() => {});
      }
    }
  }

  #noteDown(error: unknown): void {
    if (this.#line === "down") return;
    this.#line = "down";
    this.#contact = Promise.withResolvers();
    this.#options.onLine({ kind: "down", error });
  }
}

function firstWord({ siteId, siteName }: RemoteHubLinkOptions["site"]): HubWord {
  const view = {
    siteId,
    siteName,
    unknown: "silent",
    keyLists: [],
    machines: [],
    keptImages: [],
    timeZone: "UTC",
    transferLimits: NO_LIMITS,
  } as const;
  return { viewRevision: 0, keptSeq: 0, view };
}

async function readWord(path: string): Promise<HubWord | undefined> {
  try {
    return hubWordSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new DrpError("input.unreadable", `${path} cannot be read as the hub's view of this site`, {
      advice: "Remove the file: the hub gives it anew as soon as it can be reached.",
      cause,
    });
  }
}

/** A stranger's request may hold more text than anybody wants to carry. */
function isSendable(report: SiteReport): boolean {
  return numberedReportSchema.safeParse({ seq: 1, report }).success;
}
