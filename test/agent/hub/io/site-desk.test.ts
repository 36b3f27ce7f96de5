import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SiteDesk } from "../../../../src/agent/hub/io/site-desk.ts";
import type { SiteReport, SiteView } from "../../../../src/agent/site/view.ts";
import { numberedReportSchema } from "../../../../src/agent/site-protocol.ts";
import { openSqliteStore } from "../../../../src/store/open-sqlite.ts";
import type { Store } from "../../../../src/store/ports.ts";
import { inventoryWith, KEY } from "../../../helpers/machines.ts";
import { digestOf, installIntent, machineRecord, macOf, NOW, siteRecord } from "../../../store/records.ts";

let dir: string;
let store: Store;
let link: SiteDesk;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "drp-link-"));
  store = await openSqliteStore({ file: join(dir, "drp.db") });
  await store.commit([{ kind: "insert-site", site: siteRecord() }]);
  link = await SiteDesk.open(store, siteRecord(), NOW);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

function registered(
  overrides: Partial<Extract<SiteReport, { kind: "machine-registered" }>> = {},
): SiteReport {
  return {
    kind: "machine-registered",
    at: NOW,
    machineId: "m-new",
    bootMac: macOf(9),
    bootId: "4e0e1c4b-6a45-4f10-9a43-1e0b8e5d4a11",
    keyFingerprint: KEY,
    inventory: inventoryWith(),
    intentId: null,
    ...overrides,
  };
}

const bootEvent = (number: number): SiteReport => ({
  kind: "boot-event",
  at: NOW + number,
  mac: macOf(9),
  event: { kind: "dhcp.offer", summary: `offer ${number}`, facts: { number } },
});

const siteEvent = {
  kind: "boot-event",
  at: NOW,
  event: { kind: "dhcp.other-server", summary: "another DHCP server", facts: { server: "10.0.0.9" } },
} as const;

test("a machine that registers is in the store and in the answered view, and the log tells of it", async () => {
  const view = await link.report([registered()]);
  expect(view.machines).toMatchObject([{ id: "m-new", macs: [macOf(9)], keyFingerprint: KEY, intent: null }]);
  expect(await store.findMachine(macOf(9))).toMatchObject({ id: "m-new", state: { kind: "discovered" } });
  const events = await store.listEvents({ machineId: "m-new", limit: 10, from: "oldest" });
  expect(events.map(event => event.kind)).toEqual(["machine.registered"]);
});

test("a boot event of no machine is the site's, and an old report with its MAC address stays as it was", async () => {
  await link.report([{ ...siteEvent, mac: null }]);
  const events = await store.listEvents({ limit: 10, from: "oldest" });
  expect(events).toMatchObject([
    {
      kind: "dhcp.other-server",
      siteId: siteRecord().id,
      machineId: null,
      mac: null,
      facts: { server: "10.0.0.9" },
    },
  ]);
  for (const mac of [null, macOf(9)]) {
    const line = { seq: 1, report: { ...siteEvent, mac } };
    expect(numberedReportSchema.parse(JSON.parse(JSON.stringify(line)))).toEqual(line);
  }
});

test("boot events find their machine by its MAC address and keep their order", async () => {
  await link.report([bootEvent(0)]);
  await link.report([registered()]);
  await Promise.all([1, 2, 3, 4, 5].map(number => link.report([bootEvent(number)])));
  const events = await store.listEvents({ mac: macOf(9), limit: 10, from: "oldest" });
  expect(events.map(({ summary, machineId }) => [summary, machineId])).toEqual([
    ["offer 0", null],
    [expect.stringContaining("is new"), "m-new"],
    ...[1, 2, 3, 4, 5].map(number => [`offer ${number}`, "m-new"]),
  ]);
});

test("reports of one machine that arrive together all count", async () => {
  await store.commit([
    {
      kind: "insert-machine",
      machine: machineRecord({
        state: {
          kind: "installing",
          intent: installIntent(digestOf("a")),
          phase: "starting",
          doneBytes: 0,
          totalBytes: 0,
        },
      }),
    },
  ]);
  const progress = (phase: "partitioning" | "writing" | "verifying", doneBytes: number): SiteReport => ({
    kind: "install-progress",
    at: NOW,
    machineId: "m-1",
    progress: { intentId: "i-1", phase, doneBytes, totalBytes: 100, message: "" },
  });
  await Promise.all([
    link.report([progress("partitioning", 0)]),
    link.report([progress("writing", 50), progress("writing", 90)]),
    link.report([progress("verifying", 100)]),
  ]);
  expect(await store.findMachine("m-1")).toMatchObject({ revision: 5 });
});

test("an operator's change reaches listeners with the new view; the site's own reports do not", async () => {
  const views: SiteView[] = [];
  link.onViewChanged(view => views.push(view));
  await link.report([registered()]);
  expect(views).toHaveLength(0);
  const machine = await store.findMachine("m-new");
  if (machine === undefined) throw new Error("the machine did not register");
  const intent = installIntent(digestOf("a"));
  const assigned = { ...machine, state: { kind: "assigned", intent } as const, revision: 2 };
  await store.commit([{ kind: "update-machine", machine: assigned, expectedRevision: 1 }]);
  expect(views.at(-1)?.machines[0]?.intent).toEqual(intent);
  await store.commit([
    { kind: "update-site", site: siteRecord({ unknown: "silent", revision: 2 }), expectedRevision: 1 },
  ]);
  expect(views.at(-1)?.unknown).toBe("silent");
  await store.commit([{ kind: "delete-machine", id: "m-new", expectedRevision: 2 }]);
  expect(link.view().machines).toEqual([]);
});

test("machines of another site are not in the view, and a link that is opened later sees what was there", async () => {
  await store.commit([
    { kind: "insert-site", site: siteRecord({ id: "s-2", name: "other" }) },
    { kind: "insert-machine", machine: machineRecord({ siteId: "s-2" }) },
    { kind: "insert-machine", machine: machineRecord({ id: "m-2", name: "node-2", macs: [macOf(2)] }) },
  ]);
  const later = await SiteDesk.open(store, siteRecord(), NOW);
  for (const view of [link.view(), later.view()])
    expect(view.machines.map(machine => machine.id)).toEqual(["m-2"]);
});

test("a new machine with another one's MAC address is refused and changes nothing", async () => {
  await link.report([registered()]);
  await expect(link.report([registered({ machineId: "m-twin" })])).rejects.toMatchObject({
    code: "name.taken",
  });
  expect(link.view().machines).toHaveLength(1);
});

test("a replayed boot token raises an alarm", async () => {
  await link.report([{ kind: "token-replayed", at: NOW, mac: macOf(9), fromAddress: "10.0.0.66" }]);
  expect(await store.listEvents({ limit: 1, from: "newest" })).toMatchObject([
    { severity: "alarm", kind: "token.replayed" },
  ]);
});
