/** What a site's line may carry at a moment: rates, windows, budgets, and the bucket that spreads bytes over time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type BandwidthWindow,
  formatBudget,
  formatRate,
  parseBudget,
  parseRate,
  parseWindow,
} from "../../src/core/line-limits.ts";
import { findOverlap, rateAt } from "../../src/images/bandwidth.ts";
import { budgetPeriodAt } from "../../src/images/budget.ts";
import { type TokenBucket, takeTokens } from "../../src/images/token-bucket.ts";
import { transferLimitsSchema } from "../../src/images/transfer-limits.ts";

const BERLIN = "Europe/Berlin";
const window = (text: string): BandwidthWindow => {
  const parsed = parseWindow(text);
  if (parsed === undefined) throw new Error(`${text} is no window`);
  return parsed;
};
const rate = (windows: string[], at: string, bitsPerSecond: number | null = 10_000_000) =>
  rateAt({ bitsPerSecond, windows: windows.map(window) }, BERLIN, Date.parse(at)).bitsPerSecond;

test("rates are read as network people write them, and refused where they are none", () => {
  expect(["10Mbit/s", "512kbit", "1.5 Gbit/s", "10mbps", "1.25MB/s", "2Mb/s"].map(parseRate)).toEqual([
    10_000_000, 512_000, 1_500_000_000, 10_000_000, 10_000_000, 2_000_000,
  ]);
  expect(
    ["", "fast", "0Mbit/s", "7kbit/s", "-1Mbit", "10", "1e9bit/s", "99999Gbit/s"].map(parseRate),
  ).toEqual(Array(8).fill(undefined));
  expect([10_000_000, 512_000, 1_500_000_000].map(formatRate)).toEqual([
    "10 Mbit/s",
    "512 kbit/s",
    "1.5 Gbit/s",
  ]);
});

test("budgets are read in powers of 1000 and 1024, by day and month", () => {
  expect(["20GB/month", "500MB/day", "1GiB/day"].map(parseBudget)).toEqual([
    { bytes: 20e9, per: "month" },
    { bytes: 500e6, per: "day" },
    { bytes: 1024 ** 3, per: "day" },
  ]);
  expect(["20GB", "20GB/week", "1MB/day", "x/day"].map(parseBudget)).toEqual(Array(4).fill(undefined));
  expect(formatBudget({ bytes: 20e9, per: "month" })).toBe("20 GB a month");
});

test("a window counts from its first minute to before its last, by the site's own clock", () => {
  const day = ["08:00-20:00=1Mbit/s"];
  expect(rate(day, "2026-11-21T06:59:59Z")).toBe(10_000_000);
  expect(rate(day, "2026-11-21T07:00:00Z")).toBe(1_000_000);
  expect(rate(day, "2026-11-21T18:59:59Z")).toBe(1_000_000);
  expect(rate(day, "2026-11-21T19:00:00Z")).toBe(10_000_000);
  // In summer the same wall clock is an hour earlier in UTC.
  expect(rate(day, "2026-07-21T06:00:00Z")).toBe(1_000_000);
  expect(rate([], "2026-07-21T06:00:00Z", null)).toBeNull();
});

test("a window over midnight counts on both sides of it; the hour that comes twice counts twice, the one that is left out never", () => {
  const night = ["22:00-06:00=5Mbit/s"];
  expect(rate(night, "2026-11-21T21:30:00Z")).toBe(5_000_000);
  expect(rate(night, "2026-11-22T04:30:00Z")).toBe(5_000_000);
  expect(rate(night, "2026-11-22T05:00:00Z")).toBe(10_000_000);
  const two = ["02:00-03:00=1Mbit/s"];
  expect(rate(two, "2026-10-25T00:30:00Z")).toBe(1_000_000);
  expect(rate(two, "2026-10-25T01:30:00Z")).toBe(1_000_000);
  expect(rate(two, "2026-03-29T00:59:00Z")).toBe(10_000_000);
  expect(rate(two, "2026-03-29T01:00:00Z")).toBe(10_000_000);
});

test("windows that share a minute are refused, also over midnight; neighbours are not", () => {
  const overlap = (...texts: string[]) => findOverlap(texts.map(window)) !== undefined;
  expect(overlap("08:00-20:00=1Mbit/s", "19:59-22:00=2Mbit/s")).toBe(true);
  expect(overlap("22:00-06:00=1Mbit/s", "05:00-07:00=2Mbit/s")).toBe(true);
  expect(overlap("08:00-20:00=1Mbit/s", "20:00-24:00=2Mbit/s", "00:00-08:00=3Mbit/s")).toBe(false);
  expect(["8:00-20:00=1Mbit/s", "08:00-08:00=1Mbit/s", "24:00-08:00=1Mbit/s"].map(parseWindow)).toEqual(
    Array(3).fill(undefined),
  );
  const windows = ["08:00-20:00=1Mbit/s", "19:00-22:00=2Mbit/s"].map(window);
  const refused = transferLimitsSchema.safeParse({
    bandwidth: { bitsPerSecond: null, windows },
    budget: null,
  });
  expect(refused.error?.issues[0]?.message).toBe(
    "08:00-20:00 1 Mbit/s and 19:00-22:00 2 Mbit/s share time of the day",
  );
});

test("windows overlap exactly where some minute of the day is in both", () => {
  const minute = fc.integer({ min: 0, max: 1439 });
  const anyWindow = fc
    .tuple(minute, minute)
    .filter(([from, to]) => from !== to)
    .map(([from, to]) => ({ from, to, bitsPerSecond: 1e6 }));
  const holds = ({ from, to }: BandwidthWindow, at: number) =>
    from < to ? at >= from && at < to : at >= from || at < to;
  fc.assert(
    fc.property(anyWindow, anyWindow, (one, other) => {
      const shared = Array.from({ length: 1440 }, (_, at) => at).some(
        at => holds(one, at) && holds(other, at),
      );
      expect(findOverlap([one, other]) !== undefined).toBe(shared);
    }),
  );
});

test("a budget's period is the site's day or month, and says when the next one begins", () => {
  const period = (per: "day" | "month", at: string) => {
    const { name, endsAt } = budgetPeriodAt(per, BERLIN, Date.parse(at));
    return [name, new Date(endsAt).toISOString()];
  };
  expect(period("month", "2026-12-31T22:59:59Z")).toEqual(["2026-12", "2026-12-31T23:00:00.000Z"]);
  expect(period("month", "2026-12-31T23:00:00Z")).toEqual(["2027-01", "2027-01-31T23:00:00.000Z"]);
  expect(period("day", "2026-03-29T10:00:00Z")).toEqual(["2026-03-29", "2026-03-29T22:00:00.000Z"]);
  expect(period("day", "2026-10-25T22:59:00Z")).toEqual(["2026-10-25", "2026-10-25T23:00:00.000Z"]);
});

test("over any time a bucket lets pass what the rate gives and one piece, however it is asked and whatever the clock does", () => {
  const step = fc.record({
    waitMs: fc.integer({ min: -5000, max: 5000 }),
    bytes: fc.integer({ min: 1, max: 50_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1000, max: 1e7 }),
      (steps, bytesPerSecond) => {
        let bucket: TokenBucket = { tokens: 0, at: 0 };
        let [now, forwardMs, passed] = [0, 0, 0];
        for (const { waitMs, bytes } of steps) {
          now += waitMs;
          forwardMs += Math.max(0, waitMs);
          const answer = takeTokens(bucket, bytes, bytesPerSecond, now);
          bucket = answer.bucket;
          if (answer.kind === "pass") passed += bytes;
        }
        expect(passed).toBeLessThanOrEqual((forwardMs * bytesPerSecond) / 1000 + 1);
      },
    ),
  );
});

test("whoever waits as long as a bucket says is let pass", () => {
  const sizes = fc.integer({ min: 1, max: 5_000_000 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1000, max: 1e8 }), (bytes, bytesPerSecond) => {
      const first = takeTokens({ tokens: 0, at: 0 }, bytes, bytesPerSecond, 0);
      if (first.kind === "pass") throw new Error("an empty bucket let something pass");
      expect(takeTokens(first.bucket, bytes, bytesPerSecond, first.waitMs).kind).toBe("pass");
    }),
  );
});
