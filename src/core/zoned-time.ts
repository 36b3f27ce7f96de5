/** What a wall clock shows in a time zone (IANA names, by Intl), and when it will show the start of another day or month. */
import type { EpochMs } from "./time.ts";

/** Of the Gregorian calendar; `month` from 1. */
export interface ZonedTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  /** Of the wall clock: 0 … 1439. On the day that clocks are put back some come twice, on the other some never. */
  readonly minuteOfDay: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** @throws {RangeError} for a name that the IANA database lacks */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
    formats.set(timeZone, format);
  }
  return format;
}

export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** @throws {RangeError} for a zone that the IANA database lacks */
export function toZonedTime(at: EpochMs, timeZone: string): ZonedTime {
  const parts = new Map(
    formatOf(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
  return {
    year: part("year"),
    month: part("month"),
    day: part("day"),
    minuteOfDay: part("hour") * 60 + part("minute"),
  };
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** No zone is further from UTC, and no clock is put forward by more, than this together. */
const SEARCH_MS = 30 * 60 * MINUTE_MS;

/**
 * When a day begins there: its first minute, which is 00:00 but where clocks are put forward at midnight.
 *
 * @param month from 1; it may reach over the year's end, and `day` over the month's
 */
export function startOfZonedDay(year: number, month: number, day: number, timeZone: string): EpochMs {
  const wanted = countDays(year, month, day);
  const noonUtc = wanted * DAY_MS + DAY_MS / 2;
  let [before, from] = [noonUtc - SEARCH_MS, noonUtc + SEARCH_MS];
  // Days only rise with time, so the border between the day before and this one is found by halving.
  while (from - before > MINUTE_MS) {
    const middle = Math.floor((before + from) / 2 / MINUTE_MS) * MINUTE_MS;
    const shown = toZonedTime(middle, timeZone);
    if (countDays(shown.year, shown.month, shown.day) < wanted) before = middle;
    else from = middle;
  }
  return from;
}

/** Days from 1970-01-01: a year that begins in March has its leap day at its end, and months of one pattern before it. */
function countDays(year: number, month: number, day: number): number {
  const monthsFromMarch = year * 12 + month - 3;
  const marchYear = Math.floor(monthsFromMarch / 12);
  const dayOfMonthStart = Math.floor((153 * (monthsFromMarch - marchYear * 12) + 2) / 5);
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + dayOfMonthStart + day - 1 - DAYS_TO_1970;
}

/** From 0000-03-01, where that count begins. */
const DAYS_TO_1970 = 719_468;
