import fc from "fast-check";
import { expect, it } from "vitest";
import { highestClean, nextRate, type SearchPlan, type Trial } from "../../bench/rate-search.ts";

function search(capacity: number, plan: SearchPlan): Trial[] {
  const trials: Trial[] = [];
  for (let rate = nextRate(trials, plan); rate !== undefined; rate = nextRate(trials, plan)) {
    trials.push({ offeredPerSecond: rate, clean: rate <= capacity });
  }
  return trials;
}

const PLAN = { first: 6000, step: 1.4, resolution: 1.05, maxTrials: 40 };

it("nextRate() raises the rate until it drops, then halves the gap until it is 5 %", () => {
  const trials = search(8800, PLAN);
  expect(
    trials.map(({ offeredPerSecond, clean }) => `${offeredPerSecond} ${clean ? "clean" : "drops"}`),
  ).toEqual(["6000 clean", "8400 clean", "11760 drops", "9939 drops", "9137 drops", "8761 clean"]);
});

it("nextRate() finds any capacity to within 5 %, from any guess, in a dozen trials or few more", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 30_000 }),
      fc.integer({ min: 100, max: 30_000 }),
      (capacity, first) => {
        const trials = search(capacity, { ...PLAN, first });
        const found = highestClean(trials)?.offeredPerSecond ?? 0;
        expect(found).toBeLessThanOrEqual(capacity);
        expect(found).toBeGreaterThan(capacity / 1.07);
        expect(trials.length).toBeLessThan(24);
      },
    ),
  );
});

it("nextRate() gives up after as many trials as were planned", () => {
  expect(search(10, { ...PLAN, maxTrials: 3 })).toHaveLength(3);
});

it("highestClean() counts no rate above one that dropped: it was luck", () => {
  const trials = [
    { offeredPerSecond: 4000, clean: true },
    { offeredPerSecond: 5000, clean: false },
    { offeredPerSecond: 6000, clean: true },
  ];
  expect(highestClean(trials)).toBe(trials[0]);
});
