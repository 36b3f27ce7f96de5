/** Limits of the line as a site keeps to them: real transfers, and the meter by a clock of its own. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type LineHold, WanMeter } from "../../../src/agent/site/io/wan-meter.ts";
import type { TransferLimits } from "../../../src/images/transfer-limits.ts";
import { noise } from "../../images/bundles.ts";
import { WanSite } from "./wan-site.ts";

const MIB = 1024 * 1024;
const NIGHT = Date.parse("2026-11-21T23:59:00Z");
const MIDNIGHT = Date.parse("2026-11-22T00:00:00Z");

const limited = (bitsPerSecond: number): TransferLimits => ({
  bandwidth: { bitsPerSecond, windows: [] },
  budget: null,
});
const budgeted = (bytes: number): TransferLimits => ({
  bandwidth: { bitsPerSecond: null, windows: [] },
  budget: { bytes, per: "day" },
});

let dir: string;
let now: number;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "drp-meter-"));
  now = NIGHT;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = () => join(dir, "budget.json");
const open = (transferLimits: TransferLimits) =>
  WanMeter.open(file(), { timeZone: "UTC", transferLimits }, () => now);
const still = new AbortController().signal;

/** Takes all that it is given, until something holds it. */
async function useUp(meter: WanMeter): Promise<{ used: number; hold: LineHold }> {
  const stopping = new AbortController();
  let used = 0;
  const held = Promise.withResolvers<LineHold>();
  const taking = (async () => {
    for (;;) {
      const { bytes } = await meter.grant(100_000, stopping.signal, hold => held.resolve(hold));
      used += bytes;
    }
  })();
  taking.catch(() => {});
  const hold = await held.promise;
  stopping.abort();
  await expect(taking).rejects.toThrow();
  return { used, hold };
}

test("a budget that is used up holds what is still to come, and says until when", async () => {
  const { used, hold } = await useUp(await open(budgeted(10_000_000)));
  expect(used).toBeGreaterThan(9_800_000);
  expect(used).toBeLessThanOrEqual(10_000_000);
  expect(hold).toEqual({ because: "the budget of 10 MB a day is used up", until: MIDNIGHT });
});

test("what was used survives a crash: it may count a step too much, never too little", async () => {
  const first = await open(budgeted(100_000_000));
  let used = 0;
  for (let grants = 0; grants < 40; grants++) used += (await first.grant(100_000, still, () => {})).bytes;
  const after = (await open(budgeted(100_000_000))).usedBytes ?? 0;
  expect(after).toBeGreaterThanOrEqual(used);
  expect(after).toBeLessThan(used + MIB + 40 * 1000);
  expect(JSON.parse(readFileSync(file(), "utf8"))).toMatchObject({ period: "2026-11-21" });
});

test("a clock that goes back gives no new budget, nor one that comes forward again, also over a restart", async () => {
  const meter = await open(budgeted(10_000_000));
  await useUp(meter);
  const [first, ...others] = [MIDNIGHT, NIGHT, NIGHT - 20 * 24 * 60 * 60_000];
  now = first ?? 0;
  await useUp(meter);
  for (const time of others) {
    now = time;
    for (const each of [meter, await open(budgeted(10_000_000))]) expect((await useUp(each)).used).toBe(0);
  }
  now = MIDNIGHT;
  expect((await useUp(meter)).used).toBe(0);
  now += 24 * 60 * 60_000;
  expect((await useUp(meter)).used).toBeGreaterThan(9_800_000);
});

test("no grant is larger than what is left of the budget", async () => {
  const meter = await open(budgeted(100_000));
  const first = await meter.grant(60_000, still, () => {});
  const second = await meter.grant(60_000, still, () => {});
  expect(first.bytes + second.bytes).toBeLessThanOrEqual(100_000);
  expect(meter.usedBytes).toBeLessThanOrEqual(100_000);
});

test("a held transfer goes on when the next period begins, and at once when the budget is raised", async () => {
  const meter = await open(budgeted(10_000_000));
  await useUp(meter);
  const tomorrow = meter.grant(1000, still, () => {
    now = MIDNIGHT;
  });
  expect((await tomorrow).bytes).toBe(1000);
  await useUp(meter);
  const raised = meter.grant(1000, still, () => {
    meter.follow({ timeZone: "UTC", transferLimits: budgeted(20_000_000) });
  });
  expect((await raised).bytes).toBe(1000);
});

test("what was granted and not used is given back", async () => {
  const meter = await open(budgeted(100_000_000));
  const { bytes } = await meter.grant(4 * MIB, still, () => {});
  meter.giveBack(bytes - 10_000);
  expect(meter.usedBytes).toBeLessThan(11_000);
});

test("a grant ends when another rate begins to count", async () => {
  const windows = [{ from: 0, to: 480, bitsPerSecond: 1_000_000 }];
  const meter = await open({ bandwidth: { bitsPerSecond: null, windows }, budget: null });
  const grant = await meter.grant(4 * MIB, still, () => {});
  expect(meter.stillHolds(grant)).toBe(true);
  now = MIDNIGHT;
  expect(meter.stillHolds(grant)).toBe(false);
});

test("a transfer keeps to its rate, follows a change of it while it runs, and leaves reports alone", async () => {
  await using site = await WanSite.open();
  const image = noise(2 * MIB, 5);
  const digest = await site.push(image, { version: "v1" });
  const startedAt = Date.now();
  const images = await site.openImages({
    clock: Date.now,
    view: site.view([digest], { transferLimits: limited(2_000_000) }),
  });
  await vi.waitFor(() => expect(site.wan.downBytes).toBeGreaterThan(400_000), { timeout: 20_000 });
  // 250 kB a second; the manifest and the handshakes are not counted by it.
  const [tookMs, came] = [Date.now() - startedAt, site.wan.downBytes];
  expect(came).toBeLessThan(tookMs * 250 + 250_000);
  const { keptSeq } = await site.client().sync({ reports: [], knownViewRevision: 0 });
  expect(keptSeq).toBe(0);
  images.follow(site.view([digest]));
  await vi.waitFor(() => expect(site.eventsOf("image.transferred")).toHaveLength(1), { timeout: 5000 });
}, 60_000);

test("a spent budget is said at the hub with the time when it goes on, and a machine that asks hears it", async () => {
  await using site = await WanSite.open();
  const image = noise(4 * MIB, 6);
  const digest = await site.push(image, { version: "v1" });
  const images = await site.openImages({
    clock: () => NIGHT,
    view: site.view([digest], { transferLimits: budgeted(2_000_000) }),
  });
  await vi.waitFor(() => expect(site.eventsOf("image.held")).toHaveLength(1), { timeout: 20_000 });
  expect(site.eventsOf("image.held")[0]?.summary).toBe(
    "golden:v1 is held: the budget of 2 MB a day is used up; it goes on 2026-11-22T00:00:00.000Z",
  );
  expect(site.wan.downBytes).toBeLessThan(2_100_000);
  images.follow(site.view([digest]));
  await vi.waitFor(() => expect(site.eventsOf("image.transferred")).toHaveLength(1), { timeout: 20_000 });
}, 60_000);
