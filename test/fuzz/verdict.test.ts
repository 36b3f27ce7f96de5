import { expect, it } from "vitest";
import type { TargetReport } from "./fuzz.ts";
import { findFaults } from "./verdict.ts";

const GOOD: TargetReport = {
  target: "dhcp",
  sent: 1000,
  exchanges: 8,
  retries: 0,
  slowestMs: 3,
  seconds: 1,
  delivered: 1100,
  overflowed: 0,
  growthMegabytes: -2,
  alive: true,
};

it("findFaults() finds none where the server lives, serves and does not grow", () => {
  expect(findFaults(GOOD)).toEqual([]);
});

it.each([
  [{ alive: false }, "not the one that was started"],
  [{ growthMegabytes: 31 }, "memory grew by 31.0 MB"],
  [{ growthMegabytes: Number.NaN }, "memory grew by NaN MB"],
  [{ delivered: 699 }, "only 699 of 1000 packets reached the server"],
  [{ exchanges: 100, retries: 2 }, "had to ask 2 times again in 100 exchanges"],
])("findFaults() names %j", (change, fault) => {
  expect(findFaults({ ...GOOD, ...change })).toEqual([expect.stringContaining(fault)]);
});
