/** How fast bytes go by, over the last seconds. */
import type { EpochMs } from "./time.ts";

/** Long enough to be steady while chunks of 1 MiB arrive, short enough to show a stall. */
const WINDOW_MS = 5000;

export interface CountedBytes {
  /** Of what is going on; with another one the count begins anew. */
  readonly label: string;
  readonly doneBytes: number;
}

export class RateMeter {
  private label = "";
  private samples: { at: EpochMs; doneBytes: number }[] = [];

  /** @returns bytes a second; undefined until two moments are known */
  measure(progress: CountedBytes, now: EpochMs): number | undefined {
    if (progress.label !== this.label) this.samples = [];
    this.label = progress.label;
    this.samples = [
      ...this.samples.filter(sample => now - sample.at <= WINDOW_MS),
      { at: now, doneBytes: progress.doneBytes },
    ];
    const [oldest] = this.samples;
    if (oldest === undefined || now - oldest.at < 200) return undefined;
    return Math.max(0, ((progress.doneBytes - oldest.doneBytes) * 1000) / (now - oldest.at));
  }
}
