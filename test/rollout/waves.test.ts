import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planWaves } from "../../src/rollout/waves.ts";

function counts(text: string, sites: number): string {
  const outcome = planWaves(text, sites);
  if (outcome.kind === "refused") return outcome.reason;
  return outcome.waves.map(wave => `${wave.label}→${wave.siteCount}`).join(" ");
}

describe("planWaves()", () => {
  test.each([
    ["1,100%", 2, "1→1 100%→2"],
    ["1,5%,25%,100%", 100, "1→1 5%→5 25%→25 100%→100"],
    ["1,7%,100%", 100, "1→1 7%→7 100%→100"],
    ["10%,100%", 4, "10%→1 100%→4"],
    ["0.5%,100%", 1000, "0.5%→5 100%→1000"],
    ["1,5%,100%", 3, "1→1 100%→3"],
    ["1,50,100%", 3, "1→1 50→3"],
    ["30%", 10, "1→1 30%→3 60%→6 90%→9 100%→10"],
    ["5%", 2, "1→1 55%→2"],
    ["100%", 1, "1→1"],
    ["1, 100%", 2, "1→1 100%→2"],
    ["1,5%", 100, 'the waves "1,5%" reach 5 of 100 sites, and never all of them'],
    ["5", 100, 'the waves "5" reach 5 of 100 sites, and never all of them'],
    ["5%,1%,100%", 9, 'the waves "5%,1%,100%" do not rise: 1% comes after 5%; they are cumulative'],
    ["0,100%", 9, '"0" in the waves "0,100%" is neither a count of sites nor a percentage up to 100%'],
    ["101%", 9, '"101%" in the waves "101%" is neither a count of sites nor a percentage up to 100%'],
    ["1,,100%", 9, '"" in the waves "1,,100%" is neither a count of sites nor a percentage up to 100%'],
  ])("reads %j over %i sites", (text, sites, expected) => {
    expect(counts(text, sites)).toBe(expected);
  });

  test("gives no empty wave and reaches every site, whatever the percentage and the fleet", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 5000 }), (percent, sites) => {
        const outcome = planWaves(`${percent}%`, sites);
        if (outcome.kind === "refused") throw new Error(outcome.reason);
        const reached = [0, ...outcome.waves.map(wave => wave.siteCount)];
        expect(reached[1]).toBe(1);
        expect(reached.at(-1)).toBe(sites);
        expect(reached.every((count, index) => index === 0 || count > (reached[index - 1] ?? 0))).toBe(true);
      }),
    );
  });
});
