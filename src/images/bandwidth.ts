/** How fast images may come to a site: one rate, and others at times of the day, by the site's own clock. */
import { type Bandwidth, type BandwidthWindow, formatMinute, formatRate } from "../core/line-limits.ts";
import type { EpochMs } from "../core/time.ts";
import { toZonedTime } from "../core/zoned-time.ts";

export interface RateNow {
  /** Null: as fast as the line. */
  readonly bitsPerSecond: number | null;
  /** "10 Mbit/s", "1 Mbit/s from 08:00 to 20:00" */
  readonly because: string;
}

/** @param timeZone IANA; on the day that clocks change, the wall clock decides */
export function rateAt(bandwidth: Bandwidth, timeZone: string, now: EpochMs): RateNow {
  const { bitsPerSecond, windows } = bandwidth;
  const { minuteOfDay } = windows.length === 0 ? { minuteOfDay: 0 } : toZonedTime(now, timeZone);
  const window = windows.find(candidate => contains(candidate, minuteOfDay));
  if (window !== undefined) {
    const { from, to } = window;
    const times = `from ${formatMinute(from)} to ${formatMinute(to)}`;
    return { bitsPerSecond: window.bitsPerSecond, because: `${formatRate(window.bitsPerSecond)} ${times}` };
  }
  return { bitsPerSecond, because: bitsPerSecond === null ? "no limit" : formatRate(bitsPerSecond) };
}

function contains({ from, to }: BandwidthWindow, minute: number): boolean {
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

/** @returns the first two windows that share a minute, or undefined. Which of them counted, nobody could say. */
export function findOverlap(
  windows: readonly BandwidthWindow[],
): readonly [BandwidthWindow, BandwidthWindow] | undefined {
  for (const [index, one] of windows.entries()) {
    // Two ranges of a circle share a minute where one of them begins in the other.
    const other = windows.slice(index + 1).find(next => contains(one, next.from) || contains(next, one.from));
    if (other !== undefined) return [one, other];
  }
  return undefined;
}
