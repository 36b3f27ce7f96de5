import { describe, expect, test } from "vitest";
import { retryDelayMs } from "../../../src/agent/machine/backoff.ts";
import { catchUp, countBoot, nextHeartbeat } from "../../../src/agent/machine/heartbeat.ts";

describe("countBoot()", () => {
  test("counts from one, and one more with each new boot id", () => {
    const first = countBoot(null, "boot-1");
    expect(first).toEqual({ bootCount: 1, bootId: "boot-1" });
    expect(countBoot(first, "boot-2")).toEqual({ bootCount: 2, bootId: "boot-2" });
  });

  test("counts a boot once, however often the agent starts in it", () => {
    const kept = { bootCount: 7, bootId: "boot-7" };
    expect(countBoot(kept, "boot-7")).toEqual(kept);
  });
});

describe("catchUp()", () => {
  const order = { bootCount: 5, seq: 2 };

  test.each([
    ["changes nothing when the site is where we are", { bootCount: 5, seq: 2 }, { bootCount: 5, seq: 3 }],
    ["changes nothing when the site is behind", { bootCount: 4, seq: 90 }, { bootCount: 5, seq: 3 }],
    [
      "goes on behind what an agent before a restart sent",
      { bootCount: 5, seq: 40 },
      { bootCount: 5, seq: 41 },
    ],
    [
      "goes on behind a count that was lost with its disk",
      { bootCount: 9, seq: 40 },
      { bootCount: 10, seq: 1 },
    ],
  ])("%s", (_, acknowledged, next) => {
    expect(nextHeartbeat(catchUp(order, acknowledged))).toEqual(next);
  });
});

describe("retryDelayMs()", () => {
  test("doubles up to half a minute, spread over its upper half", () => {
    const delays = [1, 2, 3, 6, 7, 100, 2000].map(failures => [
      retryDelayMs(failures, 0),
      retryDelayMs(failures, 1),
    ]);
    expect(delays).toEqual([
      [250, 500],
      [500, 1000],
      [1000, 2000],
      [8000, 16_000],
      [15_000, 30_000],
      [15_000, 30_000],
      [15_000, 30_000],
    ]);
  });
});
