import { expect, test } from "vitest";
import { applySiteReport, type MachineReport } from "../../../src/agent/hub/apply-report.ts";
import type { MachineRecord } from "../../../src/agent/hub/machine-record.ts";
import {
  heartbeatWith,
  intentWith,
  inventoryWith,
  KEY,
  MAC,
  machineWith,
  V1,
} from "../../helpers/machines.ts";

const registration = (change: object = {}): MachineReport => ({
  kind: "machine-registered",
  at: 500,
  machineId: "m-1",
  bootMac: MAC,
  bootId: "11111111-1111-4111-8111-111111111111",
  keyFingerprint: KEY,
  inventory: inventoryWith(),
  intentId: null,
  ...change,
});
const progress = (phase: string, change: object = {}): MachineReport => ({
  kind: "install-progress",
  at: 600,
  machineId: "m-1",
  progress: {
    intentId: "i-1",
    phase: phase as "writing",
    doneBytes: 5,
    totalBytes: 10,
    message: "",
    ...change,
  },
});
const heartbeat = (change: Parameters<typeof heartbeatWith>[0] = {}): MachineReport => ({
  kind: "heartbeat",
  at: 700,
  machineId: "m-1",
  heartbeat: heartbeatWith(change),
});

/** Applies reports in turn, as the hub does, and tells state and timeline. */
function story(start: MachineRecord | undefined, ...reports: MachineReport[]) {
  let machine = start;
  const timeline: string[] = [];
  for (const report of reports) {
    const applied = applySiteReport(machine, report, "s-1");
    machine = applied.machine ?? machine;
    timeline.push(...applied.events.map(event => `${event.severity} ${event.kind}: ${event.summary}`));
  }
  return { machine, timeline };
}

test("an unknown machine that registers becomes a discovered machine, named by its MAC address", () => {
  const { machine, timeline } = story(undefined, registration());
  expect(machine).toMatchObject({ name: "d52-54-00-00-00-01", state: { kind: "discovered" }, revision: 1 });
  expect(timeline).toEqual([
    "info machine.registered: d52-54-00-00-00-01 is new and waits for an order (amd64, uefi)",
  ]);
});

test("an ordered machine goes from registration to healthy, each step on its timeline", () => {
  const { machine, timeline } = story(
    machineWith({ state: { kind: "assigned", intent: intentWith() }, installGeneration: 1 }),
    registration({ intentId: "i-1" }),
    progress("partitioning"),
    progress("writing"),
    progress("writing", { doneBytes: 8 }),
    progress("verifying"),
    progress("booting"),
    heartbeat(),
  );
  expect(machine).toMatchObject({ state: { kind: "healthy" }, running: { image: V1, slot: "a", seq: 1 } });
  expect(timeline).toMatchInlineSnapshot(`
    [
      "info machine.registered: web-1 begins install attempt 1 of 3 (amd64, uefi)",
      "info install.partitioning: web-1: partitioning",
      "info install.writing: web-1: writing",
      "info install.verifying: web-1: verifying",
      "info install.written: sha256:111111111111 is on the disk, read back and equal; the machine restarts from it",
      "info machine.booted: web-1 runs sha256:111111111111 from slot a",
      "info machine.healthy: web-1 is healthy: 1 of 1 checks pass",
    ]
  `);
});

test("a failed attempt keeps the order until its attempts are used up", () => {
  const assigned = machineWith({ state: { kind: "assigned", intent: intentWith({ maxAttempts: 2 }) } });
  const attempt = [registration({ intentId: "i-1" }), progress("failed", { message: "disk too small" })];
  expect(story(assigned, ...attempt).machine?.state.kind).toBe("assigned");
  const { machine, timeline } = story(assigned, ...attempt, ...attempt);
  expect(machine?.state).toEqual({ kind: "install-failed", reason: "disk too small" });
  expect(timeline.at(-1)).toBe("alarm install.failed: attempt 2 of 2 failed: disk too small");
});

test("a registration for an order that is no longer open changes nothing", () => {
  const machine = machineWith({ state: { kind: "healthy" } });
  expect(
    applySiteReport(machine, registration({ intentId: "i-1", keyFingerprint: "b" }), "s-1").machine,
  ).toBeUndefined();
});

test("progress of another order changes nothing", () => {
  const machine = machineWith({ state: { kind: "assigned", intent: intentWith() } });
  expect(applySiteReport(machine, progress("booting"), "s-1").machine).toBeUndefined();
});

test("the old system's heartbeats do not end an open order; the first one of the new install does", () => {
  const assigned = machineWith({
    state: { kind: "assigned", intent: intentWith({ installGeneration: 2 }) },
    installGeneration: 2,
  });
  expect(story(assigned, heartbeat({ installGeneration: 1 })).machine?.state.kind).toBe("assigned");
  expect(story(assigned, heartbeat({ installGeneration: 2 })).machine?.state.kind).toBe("healthy");
});

test("a failing health check makes the machine unhealthy, named once on the timeline", () => {
  const failing = { health: [{ name: "app", status: "fail" as const, detail: "exit code 1" }] };
  const { machine, timeline } = story(
    machineWith({ state: { kind: "healthy" } }),
    heartbeat(failing),
    heartbeat({ ...failing, seq: 2 }),
  );
  expect(machine?.state).toEqual({ kind: "unhealthy", reason: "app: exit code 1" });
  expect(timeline.filter(line => line.startsWith("alarm"))).toEqual([
    "alarm machine.unhealthy: web-1 is unhealthy: app: exit code 1",
  ]);
});

test("a replayed heartbeat changes nothing", () => {
  const { machine } = story(machineWith(), heartbeat({ seq: 5 }));
  expect(applySiteReport(machine, heartbeat({ seq: 5 }), "s-1").machine).toBeUndefined();
});

test("a clone is quarantined with an alarm, and its heartbeats count no more", () => {
  const { machine, timeline } = story(
    machineWith(),
    heartbeat(),
    heartbeat({ seq: 2, bootId: "22222222-2222-4222-8222-222222222222" }),
    heartbeat({ seq: 3 }),
  );
  expect(machine?.state.kind).toBe("quarantined");
  expect(timeline.at(-1)).toContain(
    "alarm machine.quarantined: boot 1 of install 1 was reported under two boot ids",
  );
});
