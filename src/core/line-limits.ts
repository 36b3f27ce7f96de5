/** What a line may carry, as people write it: rates, times of the day, budgets. What that means at a moment is not known here. */

export interface BandwidthWindow {
  /** Minutes of the day, 0 … 1439. It begins at `from` and ends before `to`; over midnight where `to` is the smaller one. */
  readonly from: number;
  readonly to: number;
  readonly bitsPerSecond: number;
}

export interface Bandwidth {
  /** Outside the windows; null: as fast as the line. */
  readonly bitsPerSecond: number | null;
  readonly windows: readonly BandwidthWindow[];
}

export interface Budget {
  readonly bytes: number;
  /** Of the calendar in the site's time zone. */
  readonly per: "day" | "month";
}

const BITS_PER_UNIT: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

/**
 * "10Mbit/s", "512kbit", "1.5 Gbit/s" as network people write them (powers of 1000), or bytes: "1.25MB/s".
 *
 * @returns bits a second, or undefined for anything else and below 8 kbit/s: there a chunk would take a quarter of an hour
 */
export function parseRate(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?) ?([kmg]?)(bit|bps|b)(?:\/s)?$/i.exec(text.trim());
  const [, amount = "", prefix = "", unit = ""] = match ?? [];
  if (match === null) return undefined;
  // A capital B alone is bytes; "Mb/s" is what providers write for bits.
  const bitsPerOne = unit === "B" ? 8 : 1;
  const bits = Math.round(Number(amount) * (BITS_PER_UNIT[prefix.toLowerCase()] ?? 1) * bitsPerOne);
  return bits >= MIN_BITS_PER_SECOND && bits <= MAX_BITS_PER_SECOND ? bits : undefined;
}

export const MIN_BITS_PER_SECOND = 8_000;
export const MAX_BITS_PER_SECOND = 1e12;

/** "10 Mbit/s" */
export function formatRate(bitsPerSecond: number): string {
  const [prefix, size] = bitsPerSecond >= 1e9 ? ["G", 1e9] : bitsPerSecond >= 1e6 ? ["M", 1e6] : ["k", 1e3];
  return `${Number((bitsPerSecond / size).toFixed(3))} ${prefix}bit/s`;
}

/** "08:00-20:00=1Mbit/s" @returns undefined for anything else; 24:00 is the end of a day */
export function parseWindow(text: string): BandwidthWindow | undefined {
  const [, from = "", to = "", rate = ""] = /^(\d\d:\d\d)-(\d\d:\d\d)=(.+)$/.exec(text.trim()) ?? [];
  const bitsPerSecond = parseRate(rate);
  const [start, end] = [parseMinute(from), to === "24:00" ? 0 : parseMinute(to)];
  if (bitsPerSecond === undefined || start === undefined || end === undefined || start === end)
    return undefined;
  return { from: start, to: end, bitsPerSecond };
}

/** "08:00-20:00 1 Mbit/s" */
export function formatWindow({ from, to, bitsPerSecond }: BandwidthWindow): string {
  return `${formatMinute(from)}-${formatMinute(to)} ${formatRate(bitsPerSecond)}`;
}

function parseMinute(text: string): number | undefined {
  const [, hours = "", minutes = ""] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  return hours === "" ? undefined : Number(hours) * 60 + Number(minutes);
}

export function formatMinute(minute: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

/** Powers of 1000, as lines are sold; and of 1024. */
const UNITS: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** "20GB/month", "500MB/day" @returns undefined for anything else */
export function parseBudget(text: string): Budget | undefined {
  const match = /^(\d{1,6}(?:\.\d{1,3})?) ?([MGT]i?B)\/(day|month)$/.exec(text.trim());
  const bytes = Math.round(Number(match?.[1] ?? 0) * (UNITS[match?.[2] ?? ""] ?? 0));
  return bytes >= MIN_BUDGET_BYTES ? { bytes, per: match?.[3] as Budget["per"] } : undefined;
}

/** Below this not even one chunk comes over the line. */
export const MIN_BUDGET_BYTES = 2_000_000;

/** "20 GB a month" */
export function formatBudget({ bytes, per }: Budget): string {
  const [unit, size] = bytes >= 1e12 ? ["TB", 1e12] : bytes >= 1e9 ? ["GB", 1e9] : ["MB", 1e6];
  return `${Number((bytes / size).toFixed(2))} ${unit} a ${per}`;
}
