import { describe, expect, test } from "vitest";
import {
  lateTrialFailure,
  trialDeadlineSeconds,
  trialFailure,
} from "../../../src/agent/machine/judge-trial.ts";
import type { HealthResult } from "../../../src/agent/protocol.ts";

const PASS: HealthResult = { name: "dns", status: "pass", detail: "" };
const FAIL: HealthResult = { name: "app", status: "fail", detail: "ended with 1" };

describe("the verdict on a trial", () => {
  test("gives a check that takes long its time on top of the boot's", () => {
    expect(trialDeadlineSeconds([])).toBe(120);
    expect(
      trialDeadlineSeconds([
        { name: "app", exec: ["app"], timeoutSeconds: 10 },
        { name: "k8s", exec: ["k8s"], timeoutSeconds: 300 },
      ]),
    ).toBe(420);
  });

  test("is a failure at the third round in a row that does not pass", () => {
    expect(trialFailure({ health: [PASS, FAIL], failuresInARow: 2 })).toBeNull();
    expect(trialFailure({ health: [PASS, FAIL], failuresInARow: 3 })).toBe(
      "health check app: ended with 1 (3 times in a row)",
    );
  });

  test.each([
    ["checks that hang", null, "its health checks did not end within 120 s"],
    ["a site that is away", [PASS], "the site acknowledged no heartbeat within 120 s"],
    ["a check that fails", [PASS, FAIL], "health check app: ended with 1 within 120 s"],
  ] as const)("names %s at the deadline", (_, health, reason) => {
    expect(lateTrialFailure(health, 120)).toBe(reason);
  });
});
