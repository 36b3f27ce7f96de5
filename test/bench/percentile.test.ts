import { describe, expect, it } from "vitest";
import { percentile } from "../../bench/percentile.ts";

const TO_A_HUNDRED = Array.from({ length: 100 }, (_, index) => 100 - index);

describe("percentile()", () => {
  it.each([
    [TO_A_HUNDRED, 0.99, 99],
    [TO_A_HUNDRED, 0.5, 50],
    [TO_A_HUNDRED, 1, 100],
    [TO_A_HUNDRED, 0, 1],
    [[7], 0.99, 7],
    [[1, 2, 1000], 0.99, 1000],
    [[9, 10], 0.5, 9],
  ])("of %j at %d is %d", (values, share, expected) => {
    expect(percentile(values, share)).toBe(expected);
  });

  it("of nothing is nothing", () => {
    expect(() => percentile([], 0.99)).toThrow(RangeError);
  });
});
