/** What the hub makes of a report is the measure: the site must see the same before the hub has heard it. */
import { expect, test } from "vitest";
import { siteMachineOf } from "../../../src/agent/hub/build-site-view.ts";
import type { MachineRecord } from "../../../src/agent/hub/machine-record.ts";
import { applyReportToView } from "../../../src/agent/site/apply-report-to-view.ts";
import type { SiteReport } from "../../../src/agent/site/view.ts";
import { heartbeatWith, intentWith, inventoryWith, KEY, MAC, machineWith } from "../../helpers/machines.ts";
import { MemoryHub } from "../../helpers/memory-hub.ts";

const registered = (intentId: string | null, holdsData = false): SiteReport => ({
  kind: "machine-registered",
  at: 5,
  machineId: "m-1",
  bootMac: MAC,
  bootId: "11111111-1111-4111-8111-111111111111",
  keyFingerprint: "b".repeat(64),
  inventory: inventoryWith({ disks: inventoryWith().disks.map(disk => ({ ...disk, holdsData })) }),
  intentId,
});
const progress = (phase: "writing" | "booting" | "failed"): SiteReport => ({
  kind: "install-progress",
  at: 6,
  machineId: "m-1",
  progress: { intentId: "i-1", phase, doneBytes: 1, totalBytes: 2, message: "" },
});
const heartbeat: SiteReport = { kind: "heartbeat", at: 7, machineId: "m-1", heartbeat: heartbeatWith() };

const assigned = machineWith({ state: { kind: "assigned", intent: intentWith() } });
const lastAttempt = machineWith({ state: { kind: "assigned", intent: intentWith({ attempts: 2 }) } });

test.each<[string, MachineRecord | undefined, SiteReport[]]>([
  ["a machine that nobody knew, with an empty disk", undefined, [registered(null)]],
  ["a machine that nobody knew, with something on its disk", undefined, [registered(null, true)]],
  ["an expected machine", machineWith({ state: { kind: "expected" }, inventory: null }), [registered(null)]],
  ["a healthy machine with a new key", machineWith({ state: { kind: "healthy" } }), [registered(null)]],
  ["a registration for an order", assigned, [registered("i-1")]],
  ["a registration for an order that was withdrawn", assigned, [registered("i-0")]],
  ["an install that is under way", assigned, [registered("i-1"), progress("writing")]],
  ["an install that is done", assigned, [registered("i-1"), progress("booting"), heartbeat]],
  ["a failed attempt with attempts left", assigned, [registered("i-1"), progress("failed")]],
  ["a failed last attempt", lastAttempt, [registered("i-1"), progress("failed")]],
])("the site sees %s as the hub will", async (_name, machine, reports) => {
  const hub = new MemoryHub();
  if (machine !== undefined) hub.set({ ...machine, keyFingerprint: KEY });
  const before = hub.view();
  const ahead = reports.reduce(applyReportToView, before);
  await hub.report(reports);
  expect(ahead).toEqual(hub.view());
  expect([...hub.machines.values()].map(siteMachineOf)).toEqual(ahead.machines);
});
