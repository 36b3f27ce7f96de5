import { afterEach, beforeEach, expect, test } from "vitest";
import type { MachineRecord } from "../../src/agent/hub/machine-record.ts";
import { rolloutPlanSchema, rolloutSchema } from "../../src/api/wire.ts";
import { heartbeatWith, inventoryWith } from "../helpers/machines.ts";
import { digestOf, imageRecord, machineRecord, macOf, NOW, siteRecord } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

const REQUEST = { image: "app:v2", waves: "1,100%" };

let hub: TestHub;
beforeEach(async () => {
  hub = await startTestHub();
  await hub.store.commit([
    { kind: "insert-image", image: imageRecord() },
    { kind: "insert-image", image: imageRecord({ digest: digestOf("b"), version: "v2" }) },
    { kind: "insert-site", site: siteRecord({ id: "s-2", name: "other", labels: { region: "eu" } }) },
    { kind: "insert-machine", machine: healthyMachine(1, "s-local") },
    { kind: "insert-machine", machine: healthyMachine(2, "s-2") },
  ]);
});
afterEach(() => hub[Symbol.asyncDispose]());

function healthyMachine(number: number, siteId: string): MachineRecord {
  const { protocolVersion: _, sentAt: __, ...heartbeat } = heartbeatWith({ image: digestOf("a") });
  return machineRecord({
    id: `m-${number}`,
    name: `node-${number}`,
    siteId,
    macs: [macOf(number)],
    inventory: inventoryWith(),
    installGeneration: 1,
    state: { kind: "healthy" },
    running: { ...heartbeat, receivedAt: NOW },
    lastSeenAt: NOW,
  });
}

const start = (body: object = REQUEST) => hub.call("POST", "/api/v1/rollouts", { as: "operator", body });

test("a plan changes nothing, and the rollout that is started runs exactly that plan", async () => {
  const planned = await hub.call("POST", "/api/v1/rollouts/plan", { as: "viewer", body: REQUEST });
  expect(planned.status).toBe(200);
  const plan = rolloutPlanSchema.parse(planned.body);
  expect(plan.waves.map(wave => wave.sites.length)).toEqual([1, 1]);
  expect(await hub.store.listRollouts({ limit: 9 })).toEqual([]);

  expect((await start({ ...REQUEST, planHash: "0".repeat(64) })).body).toMatchObject({
    code: "rollout.refused",
  });
  const started = await start({ ...REQUEST, planHash: plan.hash });
  expect(started.status).toBe(201);
  expect(started.headers.etag).toBe('"1"');
  const rollout = rolloutSchema.parse(started.body);
  expect(rollout).toMatchObject({ plan, state: { kind: "running" }, startedBy: "operator" });
  expect((await hub.call("GET", `/api/v1/rollouts/${rollout.id}`, { as: "viewer" })).body).toEqual(
    started.body,
  );
});

test.each([
  ["an unknown image", { image: "app:v9" }, 404, "image.unknown"],
  ["a selector that matches nothing", { selector: "region=us" }, 409, "rollout.refused"],
  ["waves that do not reach 100 %", { waves: "1,50%" }, 409, "rollout.refused"],
  ["a field that there is not", { wave: "1" }, 400, "request.invalid"],
])("%s is refused with what to do, and nothing is started", async (_, wrong, status, code) => {
  for (const path of ["/api/v1/rollouts/plan", "/api/v1/rollouts"]) {
    const refused = await hub.call("POST", path, { as: "operator", body: { ...REQUEST, ...wrong } });
    expect(refused).toMatchObject({ status, body: { code, advice: expect.stringMatching(/.{20}/) } });
  }
  expect(await hub.store.listRollouts({ limit: 9 })).toEqual([]);
});

test("a denied image and a site that never joined are refused", async () => {
  const membership = { kind: "invited", tokenHash: "0".repeat(64), expiresAt: NOW } as const;
  await hub.store.commit([
    { kind: "insert-site", site: siteRecord({ id: "s-3", name: "absent", membership }) },
    {
      kind: "deny-image",
      denied: { digest: digestOf("a"), reason: "node-9 fell back", rolloutId: "r-0", at: NOW },
    },
  ]);
  expect((await start()).body).toMatchObject({
    code: "site.not-joined",
    advice: expect.stringContaining("drp site join"),
  });
  expect((await start({ image: "app:v1", waves: "100%" })).body).toMatchObject({
    code: "rollout.refused",
    detail: expect.stringContaining("node-9 fell back"),
  });
});

test("of two rollouts over one site that are started at once, one runs; a third over another site does too", async () => {
  const [one, two] = await Promise.all([
    start({ ...REQUEST, selector: "site=local", waves: "100%" }),
    start({ ...REQUEST, selector: "site=local", waves: "100%" }),
  ]);
  expect([one.status, two.status].toSorted()).toEqual([201, 409]);
  expect([one, two].find(({ status }) => status === 409)?.body).toMatchObject({ code: "rollout.conflict" });
  expect((await start({ ...REQUEST, selector: "region=eu", waves: "100%" })).status).toBe(201);
});

test("a rollout is paused, resumed and rolled back by an operator, and its log says by whom", async () => {
  const { id } = rolloutSchema.parse((await start()).body);
  const order = (verb: string) => hub.call("POST", `/api/v1/rollouts/${id}/${verb}`, { as: "operator" });
  expect((await order("pause")).body).toMatchObject({
    state: { kind: "paused", by: "operator" },
    revision: 2,
  });
  expect(await order("pause")).toMatchObject({ status: 409, body: { code: "rollout.conflict" } });
  expect((await order("resume")).body).toMatchObject({ state: { kind: "running" } });
  expect((await order("rollback")).body).toMatchObject({
    state: { kind: "rolling-back", reason: expect.stringContaining("operator") },
  });
  expect(await order("resume")).toMatchObject({ status: 409, body: { code: "rollout.conflict" } });
  const events = await hub.store.listEvents({ limit: 9, from: "oldest" });
  expect(events.every(({ facts }) => facts.rollout === id)).toBe(true);
  expect(events.map(({ kind }) => kind)).toEqual([
    "rollout.started",
    "rollout.paused",
    "rollout.resumed",
    "rollout.rolling-back",
  ]);
});

test("rollouts are listed newest first, those that are open on their own", async () => {
  const first = rolloutSchema.parse(
    (await start({ ...REQUEST, selector: "site=local", waves: "100%" })).body,
  );
  hub.advance(1);
  const second = rolloutSchema.parse(
    (await start({ ...REQUEST, selector: "region=eu", waves: "100%" })).body,
  );
  const record = await hub.store.findRollout(first.id);
  if (record === undefined) throw new Error("the rollout is gone");
  const ended = { ...record, state: { kind: "done", at: NOW }, revision: 2 } as const;
  await hub.store.commit([{ kind: "update-rollout", rollout: ended, expectedRevision: 1 }]);
  const list = async (query: string) =>
    (await hub.call("GET", `/api/v1/rollouts${query}`, { as: "viewer" })).body;
  expect(await list("")).toMatchObject({ items: [{ id: second.id }, { id: first.id }], next: null });
  expect(await list("?open=true")).toMatchObject({ items: [{ id: second.id }], next: null });
  expect(await list("?limit=1")).toMatchObject({ items: [{ id: second.id }], next: second.id });
  expect(await hub.call("GET", "/api/v1/rollouts/r-none")).toMatchObject({
    status: 404,
    body: { code: "not-found" },
  });
});

test("an image that an open rollout brings or takes back cannot be removed", async () => {
  const { id } = rolloutSchema.parse((await start()).body);
  expect(await hub.call("DELETE", "/api/v1/images/app:v2")).toMatchObject({
    status: 409,
    body: { code: "image.in-use", detail: `app:v2 is used by rollout ${id}` },
  });
});
