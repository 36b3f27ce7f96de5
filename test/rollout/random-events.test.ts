import fc from "fast-check";
import { expect, test } from "vitest";
import { orderRollback, pauseRollout, resumeRollout } from "../../src/rollout/operator.ts";
import { isEnded } from "../../src/rollout/rollout-record.ts";
import { fleetWith, requestWith, Scenario, V1, V2 } from "./helpers/fleet.ts";

const MACHINES = ["b1", "b2", "r1"] as const;
const machine = fc.constantFrom(...MACHINES);

/** One thing that happens to the fleet; what makes no sense at the moment does nothing. */
const happening = fc.oneof(
  machine.map(name => ({
    what: `${name} obeys`,
    do: (s: Scenario) => s.machine(name).target && s.obey(name),
  })),
  machine.map(name => ({
    what: `${name} falls back`,
    do: (s: Scenario) => s.machine(name).target && s.fallBack(name, "a check failed"),
  })),
  fc
    .tuple(machine, fc.constantFrom("fetching", "written", "armed", "trial", "confirmed", "failed"))
    .map(([name, phase]) => ({
      what: `${name} reports ${phase}`,
      do: (s: Scenario) => s.machine(name).target && s.report(name, phase, "why"),
    })),
  fc.tuple(machine, fc.constantFrom(V1, V2), fc.boolean()).map(([name, image, slotConfirmed]) => ({
    what: `${name} boots ${image.slice(7, 8)} ${slotConfirmed}`,
    do: (s: Scenario) => s.boot(name, image, { slotConfirmed }),
  })),
  machine.map(name => ({
    what: `${name} is unwell`,
    do: (s: Scenario) => s.setHealth(name, "a check failed"),
  })),
  machine.map(name => ({ what: `${name} is well`, do: (s: Scenario) => s.setHealth(name, null) })),
  fc
    .constantFrom("s-berlin", "s-rome", "m-b1", "m-r1")
    .map(id => ({ what: `${id} is cut off`, do: (s: Scenario) => s.cutOff(id) })),
  fc
    .constantFrom("s-berlin", "s-rome", "m-b1", "m-r1")
    .map(id => ({ what: `${id} is back`, do: (s: Scenario) => s.reconnect(id) })),
  fc
    .constantFrom(5, 60, 400)
    .map(seconds => ({ what: `${seconds} s`, do: (s: Scenario) => s.wait(seconds) })),
  fc.constant({
    what: "pause",
    do: (s: Scenario) => s.rollout.state.kind === "running" && s.operator(pauseRollout),
  }),
  fc.constant({
    what: "resume",
    do: (s: Scenario) => s.rollout.state.kind === "paused" && s.operator(resumeRollout),
  }),
);

test("whatever happens in whatever order, every rule holds, and the rollout ends once the fleet is heard of", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 40 }), fc.boolean(), (happenings, rollBack) => {
      const scenario = new Scenario(fleetWith(), requestWith());
      for (const each of happenings) each.do(scenario);
      scenario.reconnect("s-berlin", "s-rome", "m-b1", "m-r1");
      if (scenario.rollout.state.kind === "paused") scenario.operator(resumeRollout);
      if (rollBack && scenario.rollout.state.kind === "running") scenario.operator(orderRollback);
      for (let round = 0; round < 12 && !isEnded(scenario.rollout.state); round++) {
        for (const name of MACHINES) {
          scenario.setHealth(name, null);
          if (scenario.machine(name).target !== null) scenario.obey(name);
        }
        scenario.wait(120);
      }
      expect(isEnded(scenario.rollout.state), scenario.timeline.join("\n")).toBe(true);
    }),
    { numRuns: 300 },
  );
});
