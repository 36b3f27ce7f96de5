import { afterAll, beforeAll, expect, test } from "vitest";
import { type HubUser, runDrp, userOf } from "../cli/run-drp.ts";
import { newEvent } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
let user: HubUser;
beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub);
});
afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const drp = (...args: string[]) => runDrp(args, user.env);
const siteName = async () => (await hub.store.listSites({ limit: 1 }))[0]?.name ?? "";

test("an operator limits a site's line in the words of networks, sees it, and lifts it", async () => {
  const name = await siteName();
  const limited = await drp(
    ...["sites", "update", name, "--bandwidth", "10Mbit/s", "--bandwidth-window", "08:00-20:00=1Mbit/s"],
    ...["--budget", "20GB/month", "--time-zone", "Europe/Berlin"],
  );
  expect(limited).toMatchObject({ code: 0, stderr: "" });
  expect((await drp("sites", "show", name, "-o", "table")).stdout).toContain(
    "10 Mbit/s, 08:00-20:00 1 Mbit/s, 20 GB a month (Europe/Berlin)",
  );
  expect(await hub.store.findSite(name)).toMatchObject({
    timeZone: "Europe/Berlin",
    transferLimits: {
      bandwidth: { bitsPerSecond: 10e6, windows: [{ from: 480, to: 1200, bitsPerSecond: 1e6 }] },
      budget: { bytes: 20e9, per: "month" },
    },
  });
  await drp("sites", "update", name, "--bandwidth", "none");
  expect((await hub.store.findSite(name))?.transferLimits.bandwidth).toMatchObject({
    bitsPerSecond: null,
    windows: [{ from: 480 }],
  });
  await drp("sites", "update", name, "--bandwidth-window", "none", "--budget", "none");
  expect((await drp("sites", "show", name, "-o", "table")).stdout).toMatch(
    /Images over its line: +as fast as it is\n/,
  );
});

test("a rate, a window, a budget or a zone that is none is refused with how to write it", async () => {
  const name = await siteName();
  const refusal = async (...flags: string[]) => (await drp("sites", "update", name, ...flags)).stderr;
  expect(await refusal("--bandwidth", "fast")).toContain("Write it as 10Mbit/s");
  expect(await refusal("--bandwidth-window", "8-20=1Mbit/s")).toContain("Write it as 08:00-20:00=1Mbit/s");
  expect(await refusal("--budget", "20GB")).toContain("Write it as 20GB/month");
  expect(await refusal("--time-zone", "Mars/Olympus")).toContain("no time zone of the IANA database");
});

test("windows that overlap are refused with both of them", async () => {
  const windows = [
    { from: 480, to: 1200, bitsPerSecond: 1e6 },
    { from: 1140, to: 1320, bitsPerSecond: 2e6 },
  ];
  const path = `/api/v1/sites/${await siteName()}`;
  const answer = await hub.call("PATCH", path, { body: { bandwidth: { bitsPerSecond: null, windows } } });
  expect(answer).toMatchObject({
    status: 400,
    body: {
      detail: expect.stringContaining("08:00-20:00 1 Mbit/s and 19:00-22:00 2 Mbit/s share time of the day"),
    },
  });
});

test("how images came to a site is asked for by kind, and shown with the site", async () => {
  const site = (await hub.store.listSites({ limit: 1 }))[0];
  const siteId = site?.id ?? "";
  const summary = "shop:v2 came as a delta of 11.0 MiB from shop:v1 instead of 58.0 MiB, in 12 s";
  await hub.store.commit([
    { kind: "append-event", event: newEvent({ siteId, kind: "image.transferred", summary }) },
    { kind: "append-event", event: newEvent({ siteId, kind: "dhcp.offer", summary: "an offer" }) },
  ]);
  const listed = await drp("events", "list", "--kind", "image.", "-o", "json");
  expect(listed.stdout.trim().split("\n")).toHaveLength(1);
  expect(listed.stdout).toContain(summary);
  const shown = (await drp("sites", "show", site?.name ?? "", "-o", "table")).stdout;
  expect(shown).toContain(summary);
  expect(shown).not.toContain("an offer");
  expect((await hub.call("GET", "/api/v1/events?kind=image%25")).status).toBe(400);
});
