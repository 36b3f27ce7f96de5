import { afterAll, beforeAll, expect, test } from "vitest";
import { machineSchema, siteSchema } from "../../src/api/wire.ts";
import { digestOf, imageRecord, machineRecord, macOf, NOW, siteRecord } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
  await hub.store.commit([{ kind: "insert-image", image: imageRecord() }]);
});
afterAll(() => hub[Symbol.asyncDispose]());

test("a machine is entered, shown by any of its names, changed and removed, and the log says by whom", async () => {
  const created = await hub.call("POST", "/api/v1/machines", {
    as: "operator",
    body: { name: "till-1", macs: ["52-54-00-AA-00-01"], labels: { row: "a" } },
  });
  expect(created.status).toBe(201);
  const machine = machineSchema.parse(created.body);
  expect(machine).toMatchObject({
    name: "till-1",
    siteName: "local",
    macs: ["52:54:00:aa:00:01"],
    revision: 1,
  });
  for (const reference of [machine.id, "till-1", "52:54:00:aa:00:01"]) {
    expect((await hub.call("GET", `/api/v1/machines/${reference}`, { as: "viewer" })).body).toEqual(
      created.body,
    );
  }
  const renamed = await hub.call("PATCH", "/api/v1/machines/till-1", { body: { name: "till-2" } });
  expect(renamed.body).toMatchObject({ name: "till-2", labels: { row: "a" }, revision: 2 });
  expect(renamed.headers.etag).toBe('"2"');
  expect((await hub.call("DELETE", "/api/v1/machines/till-2")).status).toBe(204);
  expect((await hub.call("GET", "/api/v1/machines/till-2")).body).toMatchObject({ code: "machine.unknown" });
  const events = await hub.store.listEvents({ machineId: machine.id, limit: 10, from: "oldest" });
  expect(events.map(event => event.summary)).toEqual([
    "operator entered till-1",
    "admin renamed till-1 to till-2",
    "admin removed till-2",
  ]);
});

test("a change with an old If-Match is refused with 412 and changes nothing", async () => {
  await hub.store.commit([
    {
      kind: "insert-machine",
      machine: machineRecord({ id: "m-etag", name: "etag", macs: [macOf(40)], revision: 7 }),
    },
  ]);
  const path = "/api/v1/machines/etag";
  for (const method of ["PATCH", "DELETE"]) {
    const refused = await hub.call(method, path, {
      ...(method === "PATCH" ? { body: { labels: { x: "y" } } } : {}),
      headers: { "if-match": '"6"' },
    });
    expect(refused).toMatchObject({ status: 412, body: { code: "precondition.failed" } });
  }
  expect((await hub.call("GET", path)).headers.etag).toBe('"7"');
  expect((await hub.call("DELETE", path, { headers: { "if-match": '"7"' } })).status).toBe(204);
});

test("a taken name and a taken MAC address are 409, with the command that shows who has it", async () => {
  const body = { name: "twin", macs: ["52:54:00:bb:00:01"] };
  expect((await hub.call("POST", "/api/v1/machines", { body })).status).toBe(201);
  for (const again of [body, { ...body, name: "twin-2" }, { ...body, macs: ["52:54:00:bb:00:02"] }]) {
    expect(await hub.call("POST", "/api/v1/machines", { body: again })).toMatchObject({
      status: 409,
      body: { code: "name.taken", advice: expect.stringContaining("drp machines show") },
    });
  }
});

test("lists come in pages whose cursor ends with null on the last one", async () => {
  await hub.store.commit([
    {
      kind: "insert-site",
      site: siteRecord({ id: "s-big", name: "big", unknown: "disk" }),
    },
    ...[1, 2, 3, 4].map(number => ({
      kind: "insert-machine" as const,
      machine: machineRecord({
        id: `m-p${number}`,
        siteId: "s-big",
        name: `p${number}`,
        macs: [macOf(50 + number)],
      }),
    })),
  ]);
  const first = await hub.call("GET", "/api/v1/machines?site=big&limit=2");
  expect(first.body).toMatchObject({ items: [{ name: "p1" }, { name: "p2" }], next: "p2" });
  const second = await hub.call("GET", "/api/v1/machines?site=big&limit=2&after=p2");
  expect(second.body).toMatchObject({ items: [{ name: "p3" }, { name: "p4" }], next: null });
  const site = siteSchema.parse((await hub.call("GET", "/api/v1/sites/big")).body);
  expect(site.machines).toEqual({ expected: 4 });
});

test("a site's policy for unknown machines is changed by an admin", async () => {
  const path = "/api/v1/sites/local";
  expect((await hub.call("PATCH", path, { as: "operator", body: { unknown: "silent" } })).status).toBe(403);
  expect((await hub.call("PATCH", path, { body: { unknown: "silent" } })).body).toMatchObject({
    unknown: "silent",
    revision: 2,
  });
});

test("an image that a gate has failed is refused by name, on every machine", async () => {
  const image = imageRecord({ digest: digestOf("d"), version: "bad" });
  await hub.store.commit([
    { kind: "insert-image", image },
    {
      kind: "deny-image",
      denied: { digest: image.digest, reason: "till-1 fell back", rolloutId: "r-1", at: NOW },
    },
    { kind: "insert-machine", machine: machineRecord({ id: "m-d", name: "denied", macs: [macOf(61)] }) },
  ]);
  const path = "/api/v1/machines/denied";
  expect(await hub.call("POST", `${path}/install`, { body: { image: "app:bad" } })).toMatchObject({
    status: 409,
    body: { code: "image.denied", detail: "app:bad is denied fleet-wide: till-1 fell back" },
  });
  expect((await hub.call("GET", path)).body).toMatchObject({ state: { kind: "expected" }, target: null });
  expect((await hub.call("GET", "/api/v1/images/app:bad")).body).toMatchObject({
    denied: { reason: "till-1 fell back", rolloutId: "r-1", at: NOW },
  });
  expect((await hub.call("GET", "/api/v1/images/app:v1")).body).not.toHaveProperty("denied");
});

test("an install is ordered once, and can be taken back", async () => {
  await hub.store.commit([
    { kind: "insert-machine", machine: machineRecord({ id: "m-i", name: "inst", macs: [macOf(60)] }) },
  ]);
  const order = () =>
    hub.call("POST", "/api/v1/machines/inst/install", { as: "operator", body: { image: "app:v1" } });
  const ordered = await order();
  expect(ordered).toMatchObject({
    status: 201,
    body: {
      state: { kind: "assigned", intent: { image: digestOf("a"), createdBy: "operator" } },
      installGeneration: 1,
    },
  });
  expect(await order()).toMatchObject({ status: 409, body: { code: "intent.conflict" } });
  expect(await hub.call("DELETE", "/api/v1/images/app:v1")).toMatchObject({
    status: 409,
    body: { code: "image.in-use", detail: "app:v1 is used by inst" },
  });
  const cancelled = await hub.call("POST", "/api/v1/machines/inst/cancel-install", { as: "operator" });
  expect(cancelled).toMatchObject({ status: 200, body: { state: { kind: "expected" } } });
  expect((await hub.call("POST", "/api/v1/machines/inst/cancel-install")).body).toMatchObject({
    code: "intent.conflict",
  });
});

test("an install of an image that is not there, or of a machine that is not there, is 404", async () => {
  const body = { image: "app:v9" };
  expect((await hub.call("POST", "/api/v1/machines/inst/install", { body })).body).toMatchObject({
    status: 404,
    code: "image.unknown",
  });
  expect(
    (await hub.call("POST", "/api/v1/machines/none/install", { body: { image: "v1" } })).body,
  ).toMatchObject({
    status: 404,
    code: "machine.unknown",
  });
});
