/** Tells the site and the console how far an install got: at each change of phase, and every few seconds. */
import { z } from "zod";
import { RateMeter } from "../../../core/rate-meter.ts";
import type { InstallProgress } from "../../protocol.ts";
import { describeProgress } from "../describe-progress.ts";
import type { Say } from "./console.ts";
import type { SiteClient } from "./site-client.ts";

type Phase = InstallProgress["phase"];

const REPORT_EVERY_MS = 2_000;

export class ProgressReporter implements Disposable {
  readonly #client: SiteClient;
  readonly #say: Say;
  readonly #timer: NodeJS.Timeout;
  #latest: InstallProgress;
  readonly #rate = new RateMeter();
  /** Phase and count that were told last. */
  #said = "";
  /** One report at a time, in order; a slow site hears fewer of them. */
  #underWay: Promise<void> | null = null;
  #isStale = false;

  constructor(intentId: string, client: SiteClient, say: Say) {
    this.#latest = { intentId, phase: "partitioning", doneBytes: 0, totalBytes: 0, message: "" };
    this.#client = client;
    this.#say = say;
    this.#timer = setInterval(() => this.#report(), REPORT_EVERY_MS);
  }

  update(phase: Phase, doneBytes: number, totalBytes: number): void {
    const isNewPhase = phase !== this.#latest.phase || this.#said === "";
    this.#latest = { ...this.#latest, phase, doneBytes, totalBytes };
    if (isNewPhase) this.#report();
  }

  /** The last report: resolves when the site has it, or could not be told. */
  async finish(phase: "booting" | "failed", message: string): Promise<void> {
    clearInterval(this.#timer);
    this.#latest = { ...this.#latest, phase, message: message.slice(0, 4096) };
    this.#report();
    while (this.#underWay !== null) await this.#underWay;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #report(): void {
    this.#sayProgress();
    if (this.#underWay !== null) {
      this.#isStale = true;
      return;
    }
    this.#underWay = this.#send().finally(() => {
      this.#underWay = null;
      if (this.#isStale) this.#report();
    });
  }

  async #send(): Promise<void> {
    this.#isStale = false;
    try {
      await this.#client.post("/progress", this.#latest, z.object({}));
    } catch {
      // The next report says more than this one did, and an install does not fail for want of an audience.
    }
  }

  #sayProgress(): void {
    const { phase, doneBytes } = this.#latest;
    const rate = this.#rate.measure({ label: phase, doneBytes }, Date.now());
    const said = `${phase} ${doneBytes}`;
    // A failure is told at more length by whoever ends the program.
    if (said === this.#said || phase === "failed") return;
    this.#said = said;
    this.#say(describeProgress(this.#latest, rate));
  }
}
