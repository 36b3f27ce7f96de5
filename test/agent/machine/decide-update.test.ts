import { describe, expect, test } from "vitest";
import type { KeptUpdate } from "../../../src/agent/machine/agent-files.ts";
import { decideUpdate } from "../../../src/agent/machine/decide-update.ts";
import type { MachineTarget } from "../../../src/agent/protocol.ts";

const V1 = `sha256:${"1".repeat(64)}`;
const V2 = `sha256:${"2".repeat(64)}`;
const BOOT = "11111111-1111-4111-8111-111111111111";
const ON_V1 = { slot: "a", image: V1, bootId: BOOT, isTrial: false } as const;
const V2_ON_TRIAL = { slot: "b", image: V2, bootId: BOOT, isTrial: true } as const;

const AB: MachineTarget = { rolloutId: "r-1", attempt: 1, image: V2, strategy: "ab", may: "reboot" };
const REIMAGE: MachineTarget = { ...AB, strategy: "reimage" };
const PAUSED: MachineTarget = { ...AB, may: "nothing" };
const NEXT: MachineTarget = { ...AB, attempt: 2 };
const BACK: MachineTarget = { ...AB, attempt: 2, image: V1 };

function kept(phase: KeptUpdate["phase"], strategy: KeptUpdate["strategy"] = "ab"): KeptUpdate {
  const { rolloutId, attempt, image } = AB;
  return {
    rolloutId,
    attempt,
    image,
    strategy,
    phase,
    doneBytes: 0,
    totalBytes: 0,
    reason: "",
    armedInBoot: null,
  };
}

describe("decideUpdate()", () => {
  test.each([
    ["nothing kept", null, "none", "accept"],
    ["fetching", "fetching", "stop-writing", "write-slot"],
    ["written", "written", "none", "arm"],
    ["armed", "armed", "disarm", "reboot"],
    ["confirmed", "confirmed", "none", "none"],
    ["fell back", "fell-back", "none", "none"],
    ["failed", "failed", "none", "none"],
  ] as const)("with %s: stops when it may do nothing, goes on when it may", (_, phase, halted, goesOn) => {
    const update = phase && kept(phase);
    expect(decideUpdate(null, update, ON_V1).kind).toBe(halted);
    expect(decideUpdate(PAUSED, update, ON_V1).kind).toBe(halted);
    expect(decideUpdate(AB, update, ON_V1).kind).toBe(goesOn);
  });

  test.each(["fetching", "written", "armed", "confirmed", "fell-back", "failed"] as const)(
    "takes up a new attempt after %s, unless it may do nothing",
    phase => {
      expect(decideUpdate(NEXT, kept(phase), ON_V1)).toMatchObject({
        kind: "accept",
        update: { attempt: 2, phase: "fetching", image: V2 },
      });
      expect(decideUpdate({ ...NEXT, may: "nothing" }, kept(phase), ON_V1).kind).not.toBe("accept");
    },
  );

  test("has confirmed at once what runs already, also while paused and by reimage", () => {
    for (const target of [BACK, { ...BACK, may: "nothing" }, { ...BACK, strategy: "reimage" }] as const) {
      expect(decideUpdate(target, kept("fetching"), ON_V1)).toMatchObject({
        kind: "accept",
        update: { attempt: 2, phase: "confirmed", image: V1 },
      });
    }
  });

  test("restarts into the network for a reimage, and not a second time for the same attempt", () => {
    expect(decideUpdate(REIMAGE, null, ON_V1)).toMatchObject({
      kind: "accept",
      update: { phase: "armed", armedInBoot: BOOT, strategy: "reimage" },
    });
    expect(decideUpdate(REIMAGE, kept("armed", "reimage"), ON_V1).kind).toBe("reboot");
    expect(decideUpdate(REIMAGE, kept("failed", "reimage"), ON_V1).kind).toBe("none");
    expect(decideUpdate({ ...REIMAGE, may: "nothing" }, kept("armed", "reimage"), ON_V1).kind).toBe("none");
    expect(decideUpdate({ ...REIMAGE, may: "nothing" }, null, ON_V1).kind).toBe("none");
  });

  test("lets a trial run to its end, paused or not, unless another attempt counts", () => {
    for (const target of [AB, PAUSED, null]) {
      expect(decideUpdate(target, kept("trial"), V2_ON_TRIAL).kind).toBe("none");
    }
    expect(decideUpdate(BACK, kept("trial"), V2_ON_TRIAL).kind).toBe("abandon-trial");
    expect(decideUpdate(NEXT, kept("trial"), V2_ON_TRIAL).kind).toBe("abandon-trial");
  });

  test("never confirms a trial that it knows nothing of", () => {
    expect(decideUpdate(AB, null, V2_ON_TRIAL).kind).toBe("abandon-trial");
  });
});
