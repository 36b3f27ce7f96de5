/**
 * Says how many bytes of images may cross the line now: by the site's bandwidth limit, whose changes it follows at once, and
 * by its budget. What the budget was used for is on disk before it is used, so that a crash may count too much, by a step at
 * most, and never too little.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type Budget, formatBudget } from "../../../core/line-limits.ts";
import type { Clock, EpochMs } from "../../../core/time.ts";
import { type RateNow, rateAt } from "../../../images/bandwidth.ts";
import { budgetPeriodAt } from "../../../images/budget.ts";
import { writeWhole } from "../../../images/io/durable-files.ts";
import { type TokenBucket, takeTokens } from "../../../images/token-bucket.ts";
import type { SiteView } from "../view.ts";

export type LineLimits = Pick<SiteView, "timeZone" | "transferLimits">;

/** Leave to let so many bytes cross, at the rate that it was given for. */
export interface Grant {
  readonly bytes: number;
  readonly bitsPerSecond: number | null;
}

export interface LineHold {
  /** "the budget of 20 GB a month is used up" */
  readonly because: string;
  readonly until: EpochMs;
}

/** Half a second of the line, so that others on it wait no longer; the request for less would weigh too much. */
const GRANT_SECONDS = 0.5;
const MIN_GRANT_BYTES = 16 * 1024;
/** Limits, clocks and windows are looked at again this often by whoever waits. */
const LOOK_AGAIN_MS = 1000;
/** Headers of a request and its answer, and the TLS records around them. */
const REQUEST_BYTES = 600;
const JOURNAL_STEP_BYTES = 1024 * 1024;

/** A clock that is wrong comes back to a period that is known; more of them never ran at once. */
const KNOWN_PERIODS = 4;

const usedSchema = z.object({ period: z.string(), bytes: z.int().nonnegative() });
type Used = z.infer<typeof usedSchema>;
/** The running period, and those before it, newest first. */
const journalSchema = usedSchema.extend({ earlier: z.array(usedSchema).default([]) });
type Journal = z.infer<typeof journalSchema>;

export class WanMeter {
  readonly #clock: Clock;
  readonly #file: string;
  #limits: LineLimits;
  #bucket: TokenBucket;
  #used: Used;
  /** Periods that ran before, the last one first. */
  #earlier: readonly Used[];
  /** As it stands on disk: at least what is used. */
  #journalled: Used;
  #turn: Promise<unknown> = Promise.resolve();
  #rate: { readonly minute: number; readonly rate: RateNow } | undefined;

  private constructor(clock: Clock, file: string, limits: LineLimits, { earlier, ...used }: Journal) {
    this.#clock = clock;
    this.#file = file;
    this.#limits = limits;
    this.#bucket = { tokens: 0, at: clock() };
    this.#used = used;
    this.#earlier = earlier;
    this.#journalled = used;
  }

  /** @param file where the used bytes are kept; a damaged one counts as none */
  static async open(file: string, limits: LineLimits, clock: Clock): Promise<WanMeter> {
    const text = await readFile(file, "utf8").catch(() => "null");
    return new WanMeter(clock, file, limits, parseJournal(text) ?? { period: "", bytes: 0, earlier: [] });
  }

  /** From now on these count; whoever waits looks at them within a second. */
  follow(limits: LineLimits): void {
    this.#limits = limits;
    this.#rate = undefined;
  }

  /** Of the running period; undefined where there is no budget. */
  get usedBytes(): number | undefined {
    return this.#limits.transferLimits.budget === null ? undefined : this.#used.bytes;
  }

  /**
   * Waits until some of the bytes may cross. Who came first is served first.
   *
   * @param onHold told when the budget holds them, for each grant that it holds
   * @throws when the signal is aborted
   */
  grant(wantedBytes: number, signal: AbortSignal, onHold: (hold: LineHold) => void): Promise<Grant> {
    const granted = this.#turn.then(() => this.#next(wantedBytes, signal, onHold));
    this.#turn = granted.catch(() => {});
    return granted;
  }

  /** Of a grant that was not used to its end. */
  giveBack(bytes: number): void {
    this.#used = { ...this.#used, bytes: Math.max(0, this.#used.bytes - bytes) };
    this.#bucket = { ...this.#bucket, tokens: this.#bucket.tokens + bytes };
  }

  /** False once another rate counts than it was given for. */
  stillHolds(grant: Grant): boolean {
    return this.#rateNow().bitsPerSecond === grant.bitsPerSecond;
  }

  async #next(wanted: number, signal: AbortSignal, onHold: (hold: LineHold) => void): Promise<Grant> {
    for (let told = false; ; ) {
      signal.throwIfAborted();
      const hold = this.#budgetHold();
      if (hold !== undefined) {
        if (!told) onHold(hold);
        told = true;
        await delay(LOOK_AGAIN_MS, undefined, { signal });
        continue;
      }
      const { bitsPerSecond } = this.#rateNow();
      const bytes = Math.min(wanted, grantBytes(bitsPerSecond), this.#leftBytes() - REQUEST_BYTES);
      const waitMs = bitsPerSecond === null ? 0 : this.#takeTokens(bytes + REQUEST_BYTES, bitsPerSecond / 8);
      if (waitMs === 0) {
        await this.#use(bytes + REQUEST_BYTES);
        return { bytes, bitsPerSecond };
      }
      await delay(Math.min(waitMs, LOOK_AGAIN_MS), undefined, { signal });
    }
  }

  /** @returns how long to wait for them; 0: they are taken */
  #takeTokens(bytes: number, bytesPerSecond: number): number {
    const answer = takeTokens(this.#bucket, bytes, bytesPerSecond, this.#clock());
    this.#bucket = answer.bucket;
    return answer.kind === "pass" ? 0 : answer.waitMs;
  }

  #budgetHold(): LineHold | undefined {
    const { budget } = this.#limits.transferLimits;
    if (budget === null) return undefined;
    const period = budgetPeriodAt(budget.per, this.#limits.timeZone, this.#clock());
    if (period.name !== this.#used.period) this.#beginPeriod(period.name);
    if (this.#leftBytes() >= MIN_GRANT_BYTES) return undefined;
    return { because: usedUp(budget), until: period.endsAt };
  }

  #leftBytes(): number {
    const { budget } = this.#limits.transferLimits;
    return budget === null ? Number.POSITIVE_INFINITY : budget.bytes - this.#used.bytes;
  }

  /** A clock that goes back gives no new budget: what was used then counts, or else what was used since. */
  #beginPeriod(name: string): void {
    const known = [this.#used, ...this.#earlier].filter(({ period }) => period !== "");
    const later = known.find(({ period }) => period.length === name.length && period > name);
    const bytes = (known.find(({ period }) => period === name) ?? later)?.bytes ?? 0;
    this.#earlier = known.filter(({ period }) => period !== name).slice(0, KNOWN_PERIODS - 1);
    this.#used = { period: name, bytes };
  }

  async #use(bytes: number): Promise<void> {
    if (this.#limits.transferLimits.budget === null) return;
    this.#used = { ...this.#used, bytes: this.#used.bytes + bytes };
    const { period } = this.#used;
    if (this.#journalled.period === period && this.#used.bytes <= this.#journalled.bytes) return;
    const journalled = { period, bytes: this.#used.bytes + JOURNAL_STEP_BYTES };
    await writeWhole(this.#file, JSON.stringify({ ...journalled, earlier: this.#earlier }));
    this.#journalled = journalled;
  }

  /** The wall clock shows another minute at most this often: formatting a date in a zone is dear beside a piece of a file. */
  #rateNow(): RateNow {
    const now = this.#clock();
    const minute = Math.floor(now / 60_000);
    if (this.#rate?.minute !== minute) {
      const { timeZone, transferLimits } = this.#limits;
      this.#rate = { minute, rate: rateAt(transferLimits.bandwidth, timeZone, now) };
    }
    return this.#rate.rate;
  }
}

/** Without a limit a few seconds of a fast line: a limit that is set meanwhile ends the grant. */
const MAX_GRANT_BYTES = 4 * 1024 * 1024;

function grantBytes(bitsPerSecond: number | null): number {
  if (bitsPerSecond === null) return MAX_GRANT_BYTES;
  const share = Math.floor((bitsPerSecond / 8) * GRANT_SECONDS);
  return Math.min(MAX_GRANT_BYTES, Math.max(MIN_GRANT_BYTES, share));
}

function usedUp(budget: Budget): string {
  return `the budget of ${formatBudget(budget)} is used up`;
}

function parseJournal(text: string): Journal | undefined {
  try {
    return journalSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
