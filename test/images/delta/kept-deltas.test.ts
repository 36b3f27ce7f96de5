import { expect, test } from "vitest";
import { judgeDelta, planRemoval } from "../../../src/images/delta/kept-deltas.ts";

const NOW = 1_800_000_000_000;
const hoursAgo = (hours: number) => NOW - hours * 3_600_000;

test("the oldest unused deltas go until the rest fits", () => {
  const kept = new Map([
    ["used yesterday", { sizeBytes: 40, offeredAt: hoursAgo(24) }],
    ["used last week", { sizeBytes: 40, offeredAt: hoursAgo(170) }],
    ["used today", { sizeBytes: 40, offeredAt: hoursAgo(3) }],
  ]);
  expect(planRemoval(kept, 120, NOW)).toEqual([]);
  expect(planRemoval(kept, 100, NOW)).toEqual(["used last week"]);
  expect(planRemoval(kept, 10, NOW)).toEqual(["used last week", "used yesterday", "used today"]);
});

test("a delta that was offered within the hour stays, as a site may be fetching it", () => {
  const kept = new Map([
    ["on its way", { sizeBytes: 90, offeredAt: hoursAgo(0.5) }],
    ["old", { sizeBytes: 20, offeredAt: hoursAgo(2) }],
  ]);
  expect(planRemoval(kept, 10, NOW)).toEqual(["old"]);
});

test("the smaller of delta and chunks is chosen, and both sizes are told", () => {
  const made = { sha256: "0".repeat(64), peakMemoryBytes: 0 };
  expect(judgeDelta({ ...made, sizeBytes: 99, wholeBytes: 100 })).toMatchObject({
    kind: "delta",
    sizeBytes: 99,
  });
  expect(judgeDelta({ ...made, sizeBytes: 2048, wholeBytes: 2047 })).toMatchObject({
    kind: "none",
    because: "the delta takes 2.0 KiB, the chunks that the older image does not have 2.0 KiB",
  });
});
