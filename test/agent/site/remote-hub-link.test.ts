/** A real site channel over a real store, TLS between them, and a WAN that is cut by stopping the server. */
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type SiteChannel, startSiteChannel } from "../../../src/agent/hub/io/site-channel.ts";
import { createMachineKey } from "../../../src/agent/machine/io/machine-key.ts";
import { HubClient } from "../../../src/agent/site/io/hub-client.ts";
import { RemoteHubLink } from "../../../src/agent/site/io/remote-hub-link.ts";
import { MachineDesk } from "../../../src/agent/site/machine-desk.ts";
import type { SiteReport } from "../../../src/agent/site/view.ts";
import type { SignedKeyList } from "../../../src/images/key-list.ts";
import { openSqliteStore } from "../../../src/store/open-sqlite.ts";
import type { Store } from "../../../src/store/ports.ts";
import { type Fleet, openFleet } from "../../helpers/fleet.ts";
import { heartbeatWith, intentWith, inventoryWith, KEY, MAC } from "../../helpers/machines.ts";
import { makeKey } from "../../images/bundles.ts";
import { firstKeyList, signedKeyList } from "../../images/key-lists.ts";
import { machineRecord, macOf, NOW, siteRecord } from "../../store/records.ts";

const BOOT_ID = "11111111-1111-4111-8111-111111111111";
const SITE = { siteId: "s-1", siteName: "shop-1" };

let dir: string;
let store: Store;
let fleet: Fleet;
let channel: SiteChannel | undefined;
let port = 0;
const links = new Set<RemoteHubLink>();
const refusals: unknown[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "drp-wan-"));
  store = await openSqliteStore({ file: join(dir, "drp.db") });
  fleet = await openFleet(join(dir, "ca"));
  await store.commit([
    {
      kind: "insert-site",
      site: siteRecord({
        id: SITE.siteId,
        name: SITE.siteName,
        membership: {
          kind: "joined",
          keyFingerprint: fleet.site.keyFingerprint,
          joinedAt: NOW,
          reportsKept: 0,
        },
      }),
    },
  ]);
  port = 0;
  await hubUp();
});
afterEach(async () => {
  for (const link of links) await link.stop();
  links.clear();
  await hubDown();
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

async function hubUp(): Promise<void> {
  channel = await startSiteChannel({
    store,
    registry: {
      manifest: async () => undefined,
      findChunk: async () => undefined,
      frameSize: async () => undefined,
    },
    deltas: null,
    port,
    tls: fleet.hubTls,
    caPem: fleet.caPem,
    clock: () => NOW,
    onError: (_context, error) => refusals.push(error),
  });
  ({ port } = channel);
}
async function hubDown(): Promise<void> {
  await channel?.stop();
  channel = undefined;
}

const client = (tls = fleet.site.tls) =>
  new HubClient({ url: `https://127.0.0.1:${port}`, caPem: fleet.caPem, tls });

async function openLink(): Promise<RemoteHubLink> {
  const link = await RemoteHubLink.open({
    hub: client(),
    folder: join(dir, "site"),
    site: SITE,
    random: () => 0,
    onLine: () => {},
    onError: (_context, error) => refusals.push(error),
  });
  links.add(link);
  link.start();
  return link;
}
/** As after kill -9: nothing of the old one is written any more. */
async function reopened(link: RemoteHubLink): Promise<RemoteHubLink> {
  links.delete(link);
  await link.stop();
  return openLink();
}
const heard = (link: RemoteHubLink) => vi.waitFor(() => expect(link.view().unknown).toBe("discover"), 5000);

const kept = async () => {
  const membership = (await store.findSite(SITE.siteId))?.membership;
  return membership?.kind === "joined" ? membership.reportsKept : undefined;
};
const until = (seq: number) => vi.waitFor(async () => expect(await kept()).toBe(seq), 10_000);
const bootEvent = (number: number): SiteReport => ({
  kind: "boot-event",
  at: NOW + number,
  mac: MAC,
  event: { kind: "dhcp.offer", summary: `offer ${number}`, facts: {} },
});
const summaries = async () =>
  (await store.listEvents({ limit: 500, from: "oldest" })).map(({ summary }) => summary);
const deskOf = (hub: RemoteHubLink) => new MachineDesk({ hub, clock: () => NOW, randomBytes });
const register = (desk: MachineDesk, intentId: string | null) =>
  desk.register(
    {
      protocolVersion: 1,
      bootToken: desk.mintToken(MAC, intentId),
      bootMac: MAC,
      bootId: BOOT_ID,
      inventory: inventoryWith(),
    },
    KEY,
    "10.0.0.7",
  );

test("what a site reports reaches the hub, and what changes at the hub reaches the site within a second", async () => {
  const link = await openLink();
  await heard(link);
  const { machineId } = await register(deskOf(link), null);
  await until(1);
  const machine = await store.findMachine(machineId);
  if (machine === undefined) throw new Error("the machine must be at the hub");
  const changed = vi.fn();
  link.onViewChanged(changed);
  const intent = intentWith();
  const assigned = { ...machine, state: { kind: "assigned", intent } as const, revision: 2 };
  await store.commit([{ kind: "update-machine", machine: assigned, expectedRevision: 1 }]);
  await vi.waitFor(() => expect(link.view().machines[0]?.intent).toEqual(intent), 1000);
  expect(changed).toHaveBeenCalled();
  const [first] = firstKeyList(makeKey());
  if (first === undefined) throw new Error("a chain of one");
  await publish(1, first);
  await vi.waitFor(() => expect(link.view().keyLists).toEqual([first]), 1000);
});

test("a hub in wrong hands cannot bring a key of its own: the site goes on with the lists that it knows, and says so", async () => {
  const link = await openLink();
  await heard(link);
  const [old, next, foreign] = [makeKey(), makeKey(), makeKey()];
  const [first] = firstKeyList(old);
  if (first === undefined) throw new Error("a chain of one");
  const second = signedKeyList(2, [next], old);
  await publish(1, first);
  await publish(2, second);
  await vi.waitFor(() => expect(link.view().keyLists).toEqual([first, second]), 1000);
  await publish(3, signedKeyList(3, [foreign], foreign));
  await vi.waitFor(
    () =>
      expect(refusals.map(String).join()).toContain(
        `key list 3 is signed by key ${foreign.keyId.slice(0, 16)}, which list 2 does not have: the old list signs the new`,
      ),
    1000,
  );
  expect(link.view().keyLists).toEqual([first, second]);
});

function publish(version: number, signed: SignedKeyList) {
  return store.commit([
    { kind: "insert-key-list", keyList: { version, signed, publishedAt: NOW, publishedBy: "ops" } },
  ]);
}

test("with the WAN down machines register, install and beat; after it all arrives once and in order", async () => {
  await store.commit([
    {
      kind: "insert-machine",
      machine: machineRecord({
        siteId: SITE.siteId,
        macs: [MAC],
        state: { kind: "assigned", intent: intentWith({ expiresAt: NOW + 60_000 }) },
        installGeneration: 1,
      }),
    },
  ]);
  const link = await openLink();
  await vi.waitFor(() => expect(link.view().machines).toHaveLength(1), 5000);
  await hubDown();

  const desk = deskOf(link);
  expect(desk.decideBoot(MAC)).toMatchObject({ kind: "ramdisk", order: { id: "i-1" } });
  await register(desk, "i-1");
  expect(await desk.next(KEY)).toMatchObject({ kind: "install", order: { intentId: "i-1" } });
  const progress = { intentId: "i-1", doneBytes: 1, totalBytes: 1, message: "" };
  await desk.progress(KEY, { ...progress, phase: "booting" });
  expect(desk.decideBoot(MAC)).toMatchObject({ kind: "disk" });
  expect(await desk.heartbeat(KEY, heartbeatWith())).toMatchObject({
    acknowledged: { bootCount: 1, seq: 1 },
  });
  expect(await kept()).toBe(0);

  await hubUp();
  await until(3);
  expect(await store.findMachine("m-1")).toMatchObject({ state: { kind: "healthy" }, running: { seq: 1 } });
  const events = await store.listEvents({ machineId: "m-1", limit: 100, from: "oldest" });
  expect(events.map(({ kind }) => kind)).toEqual([
    "machine.registered",
    "install.written",
    "machine.booted",
    "machine.healthy",
  ]);
});

test("a site that restarts with the WAN down goes on with its view and its outbox, and loses nothing", async () => {
  let link = await openLink();
  await heard(link);
  await register(deskOf(link), null);
  await until(1);
  await hubDown();
  await deskOf(link).heartbeat(KEY, heartbeatWith());
  await link.report([1, 2, 3].map(bootEvent));

  link = await reopened(link);
  expect(link.view()).toMatchObject({ siteName: "shop-1", machines: [{ keyFingerprint: KEY }] });
  await deskOf(link).heartbeat(KEY, heartbeatWith({ seq: 2, health: [] }));
  appendFileSync(join(dir, "site", "outbox.journal"), '0123abcd {"seq":9,"rep');
  link = await reopened(link);
  expect(refusals).toContainEqual(expect.objectContaining({ message: "1 line(s) could not be read" }));

  await hubUp();
  await until(6);
  expect((await summaries()).filter(summary => summary.startsWith("offer"))).toEqual([
    "offer 1",
    "offer 2",
    "offer 3",
  ]);
  expect(await store.findMachine(MAC)).toMatchObject({ running: { seq: 2 } });
});

test("an answer that was lost on its way is no second report", async () => {
  const reports = [1, 2].map(seq => ({ seq, report: bootEvent(seq) }));
  const line = client();
  expect(await line.sync({ reports, knownViewRevision: 0 })).toMatchObject({ keptSeq: 2 });
  expect(
    await line.sync({ reports: [...reports, { seq: 3, report: bootEvent(3) }], knownViewRevision: 0 }),
  ).toMatchObject({ keptSeq: 3 });
  await Promise.all(
    [4, 4, 4].map(seq => line.sync({ reports: [{ seq, report: bootEvent(seq) }], knownViewRevision: 0 })),
  );
  line.close();
  expect(await summaries()).toEqual(["offer 1", "offer 2", "offer 3", "offer 4"]);
});

test("an operator's change of the site between two reports is kept", async () => {
  const line = client();
  await line.sync({ reports: [{ seq: 1, report: bootEvent(1) }], knownViewRevision: 0 });
  const site = await store.findSite(SITE.siteId);
  if (site === undefined) throw new Error("the site is there");
  await store.commit([
    {
      kind: "update-site",
      site: { ...site, unknown: "disk", revision: site.revision + 1 },
      expectedRevision: site.revision,
    },
  ]);
  const answer = await line.sync({ reports: [{ seq: 2, report: bootEvent(2) }], knownViewRevision: 0 });
  line.close();
  expect(answer).toMatchObject({ keptSeq: 2, view: { unknown: "disk" } });
  expect(await store.findSite(SITE.siteId)).toMatchObject({
    unknown: "disk",
    membership: { reportsKept: 2 },
  });
});

test("a machine with another site's address is refused with an alarm, and later reports do not wait for it", async () => {
  await store.commit([
    { kind: "insert-site", site: siteRecord() },
    { kind: "insert-machine", machine: machineRecord({ macs: [MAC] }) },
  ]);
  const link = await openLink();
  await heard(link);
  await register(deskOf(link), null);
  await link.report([bootEvent(1)]);
  await until(2);
  const events = await store.listEvents({ limit: 10, from: "oldest" });
  expect(events.map(({ kind, severity }) => [kind, severity])).toEqual([
    ["machine.refused", "alarm"],
    ["dhcp.offer", "info"],
  ]);
});

test("a site cannot speak for another site's machine", async () => {
  const theirs = machineRecord({ keyFingerprint: "c".repeat(64), state: { kind: "healthy" } });
  await store.commit([
    { kind: "insert-site", site: siteRecord() },
    { kind: "insert-machine", machine: theirs },
  ]);
  const line = client();
  const forged: SiteReport[] = [
    { kind: "heartbeat", at: NOW, machineId: "m-1", heartbeat: heartbeatWith() },
    {
      kind: "machine-registered",
      at: NOW,
      machineId: "m-1",
      bootMac: macOf(7),
      bootId: BOOT_ID,
      keyFingerprint: KEY,
      inventory: inventoryWith(),
      intentId: null,
    },
  ];
  await line.sync({
    reports: forged.map((report, index) => ({ seq: index + 1, report })),
    knownViewRevision: 0,
  });
  line.close();
  expect(await store.findMachine("m-1")).toEqual(theirs);
});

test("a certificate of another authority, of no site, or none is refused with the reason", async () => {
  const stranger = await createMachineKey();
  const ask = async (tls: { key: string; cert: string }) => {
    const line = client(tls);
    try {
      return await line.sync({ reports: [], knownViewRevision: 0 });
    } finally {
      line.close();
    }
  };
  const { privateKeyPem: key, certificatePem: cert } = stranger;
  await expect(ask({ key, cert })).rejects.toMatchObject({ code: "auth.rejected" });
  await expect(ask((await fleet.issue("s-2")).tls)).rejects.toMatchObject({ code: "site.not-joined" });
  await expect(ask(fleet.hubTls)).rejects.toMatchObject({ code: "auth.rejected" });
});

test("a boot event that the hub would not take is left out, and holds nothing up", async () => {
  const link = await openLink();
  const huge = { kind: "http.missing", summary: "x".repeat(5000), facts: {} };
  await link.report([{ kind: "boot-event", at: NOW, mac: MAC, event: huge }, bootEvent(1)]);
  await until(1);
  expect(await summaries()).toEqual(["offer 1"]);
  expect(readFileSync(join(dir, "site", "outbox.journal"), "utf8")).not.toContain("xxxx");
});
