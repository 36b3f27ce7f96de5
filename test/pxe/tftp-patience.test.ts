import { describe, expect, it } from "vitest";
import { observeRoundTrip, type RoundTrip, waitMs } from "../../src/pxe/tftp-patience.ts";

const measured = (...samples: number[]): RoundTrip | null =>
  samples.reduce<RoundTrip | null>((known, sample) => observeRoundTrip(known, sample), null);

describe("waitMs()", () => {
  it.each([
    ["nothing measured yet", null, [1000, 2000, 4000, 8000, 8000]],
    ["a machine in the next rack", measured(0.3, 0.3, 0.4), [100, 200, 400, 800, 1600]],
    ["a site behind 25 ms of line", measured(...Array<number>(50).fill(50)), [100, 200, 400, 800, 1600]],
    ["a line that jitters between 100 and 300 ms", measured(100, 300, 100, 300, 100, 300), [575, 1150]],
  ])("after %s", (_, roundTrip, waits) => {
    expect(waits.map((_wait, repetitions) => Math.round(waitMs(null, roundTrip, repetitions)))).toEqual(
      waits,
    );
  });

  it("keeps to what the client asked for, whatever was measured (RFC 2349)", () => {
    expect([0, 1, 5].map(repetitions => waitMs(3000, measured(1), repetitions))).toEqual([3000, 3000, 3000]);
  });

  it("passes over a round trip of a clock that was set back", () => {
    expect(observeRoundTrip(measured(20), -5)).toEqual(measured(20));
  });
});
