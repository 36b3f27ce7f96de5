import { expect, test } from "vitest";
import { judgeHeartbeat } from "../../src/agent/heartbeat-order.ts";

const last = { installGeneration: 2, bootCount: 5, seq: 7, bootId: "boot-x" };

test.each([
  ["the next in sequence is applied", { ...last, seq: 8 }, "apply"],
  ["a gap in the sequence is applied: lost ones are not waited for", { ...last, seq: 20 }, "apply"],
  ["a duplicate changes nothing", last, "stale"],
  ["a late one changes nothing", { ...last, seq: 3 }, "stale"],
  ["a new boot starts its sequence again", { ...last, bootCount: 6, seq: 1, bootId: "boot-y" }, "apply"],
  ["an older boot changes nothing", { ...last, bootCount: 4, seq: 99, bootId: "boot-w" }, "stale"],
  [
    "a new install starts its boots again",
    { installGeneration: 3, bootCount: 1, seq: 1, bootId: "b" },
    "apply",
  ],
  [
    "the system before the install changes nothing",
    { ...last, installGeneration: 1, bootCount: 90 },
    "stale",
  ],
  ["one boot count under two boot ids is a clone", { ...last, seq: 8, bootId: "boot-z" }, "clone"],
])("judgeHeartbeat(): %s", (_, next, verdict) => {
  expect(judgeHeartbeat(last, next).kind).toBe(verdict);
});

test("judgeHeartbeat() applies the first heartbeat of all", () => {
  expect(judgeHeartbeat(null, last).kind).toBe("apply");
});
