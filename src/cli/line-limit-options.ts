/** Readers of the flags that limit a site's line. "none" lifts a limit; what they refuse is a usage error that names the flag. */
import { InvalidArgumentError } from "commander";
import {
  type BandwidthWindow,
  type Budget,
  parseBudget,
  parseRate,
  parseWindow,
} from "../core/line-limits.ts";

/** A limit that is lifted; commander takes a null for no value. */
const NONE = "none";
export type None = typeof NONE;

export function readRate(text: string): number | None {
  return orNone(text, parseRate, "Write it as 10Mbit/s, 512kbit/s or 1.25MB/s (at least 8kbit/s), or none.");
}

export function readBudget(text: string): Budget | None {
  return orNone(text, parseBudget, "Write it as 20GB/month or 500MB/day (at least 2MB), or none.");
}

/** Gathers `--bandwidth-window 08:00-20:00=1Mbit/s --bandwidth-window 20:00-22:00=5Mbit/s`. */
export function collectWindow(text: string, windows: readonly BandwidthWindow[] = []): BandwidthWindow[] {
  const window = orNone(text, parseWindow, "Write it as 08:00-20:00=1Mbit/s, or none.");
  return window === NONE ? [] : [...windows, window];
}

function orNone<T>(text: string, parse: (text: string) => T | undefined, refusal: string): T | None {
  if (text === NONE) return NONE;
  const parsed = parse(text);
  if (parsed === undefined) throw new InvalidArgumentError(refusal);
  return parsed;
}

export function orNull<T>(value: T | None): T | null {
  return value === NONE ? null : value;
}
