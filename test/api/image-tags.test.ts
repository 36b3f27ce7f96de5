import { afterAll, beforeAll, expect, test } from "vitest";
import { runningOn } from "../helpers/rollouts.ts";
import { digestOf, imageRecord, machineRecord, macOf, siteRecord } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
  await hub.store.commit([
    { kind: "insert-image", image: imageRecord() },
    { kind: "insert-image", image: imageRecord({ digest: digestOf("b"), version: "v2", release: 2 }) },
    { kind: "insert-image", image: imageRecord({ digest: digestOf("c"), name: "db" }) },
    { kind: "insert-machine", machine: machineRecord({ macs: [macOf(1)] }) },
  ]);
});
afterAll(() => hub[Symbol.asyncDispose]());

const tag = (body: object, headers = {}, as: "operator" | "ci" | "viewer" = "operator") =>
  hub.call("POST", "/api/v1/image-tags", { as, body, headers });

test("a tag is given, moved and found by whoever names an image", async () => {
  expect(await tag({ image: "app:v1", tag: "canary" }, {}, "ci")).toMatchObject({
    status: 200,
    headers: { etag: '"1"' },
    body: { name: "app", tag: "canary", version: "v1", movedBy: "ci", reason: null },
  });
  expect((await hub.call("GET", "/api/v1/images/canary")).body).toMatchObject({
    version: "v1",
    tags: ["canary"],
  });
  const moved = await tag({ image: "v2", tag: "canary", reason: "a week in the lab" }, { "if-match": '"1"' });
  expect(moved.body).toMatchObject({ version: "v2", revision: 2 });
  expect((await hub.call("GET", "/api/v1/images/app:canary")).body).toMatchObject({ version: "v2" });
  expect(
    (await hub.call("GET", "/api/v1/image-tags/canary/history", { as: "viewer" })).body.items,
  ).toMatchObject([
    { fromVersion: "v1", version: "v2", movedBy: "operator", reason: "a week in the lab" },
    { fromVersion: null, version: "v1", movedBy: "ci" },
  ]);
  const events = (await hub.call("GET", "/api/v1/events?from=newest&limit=1")).body.items;
  expect(events).toMatchObject([
    {
      kind: "image.tagged",
      summary: expect.stringMatching(
        /^operator moved the tag app:canary from v1 sha256:a+ to v2 sha256:b+ \(a week in the lab\)$/,
      ),
    },
  ]);
});

test("a move that somebody else was faster with is refused, and one to where it stands changes nothing", async () => {
  expect(await tag({ image: "v2", tag: "canary" }, { "if-match": '"1"' })).toMatchObject({ status: 412 });
  expect(await tag({ image: "v2", tag: "canary" }, { "if-match": '"0"' })).toMatchObject({ status: 412 });
  expect((await tag({ image: "v2", tag: "canary" })).body).toMatchObject({ revision: 2 });
});

test("CI moves every tag but stable, and takes none away", async () => {
  expect(await tag({ image: "v2", tag: "stable" }, {}, "ci")).toMatchObject({
    status: 403,
    body: { code: "auth.forbidden", detail: "the tag stable is moved by people: role operator, not ci" },
  });
  expect((await tag({ image: "v2", tag: "nightly" }, {}, "viewer")).status).toBe(403);
  expect((await hub.call("DELETE", "/api/v1/image-tags/canary", { as: "ci" })).status).toBe(403);
});

test.each([
  ["a version of the same image", "v1", 409, "name.taken"],
  ["the beginning of a digest", "cafe", 400, "request.invalid"],
  ["a path", "a/b", 400, "request.invalid"],
])("a tag that reads like %s is refused", async (_name, name, status, code) => {
  expect(await tag({ image: "app:v2", tag: name })).toMatchObject({ status, body: { code } });
});

test("a word that fits several images is an error that names them", async () => {
  await tag({ image: "db:v1", tag: "canary" });
  expect((await hub.call("GET", "/api/v1/images/canary")).body).toMatchObject({
    code: "request.invalid",
    detail: expect.stringMatching(/^canary fits 2 images: .*db:v1 sha256:c{12} \(by its tag canary\)/),
  });
  expect((await hub.call("GET", "/api/v1/image-tags/canary")).body).toMatchObject({
    detail: "canary fits 2 tags: app:canary, db:canary",
  });
  // A version that is pushed later and reads like a tag that stands elsewhere.
  const late = imageRecord({ digest: digestOf("d"), version: "canary" });
  await hub.store.commit([{ kind: "insert-image", image: late }]);
  expect((await hub.call("GET", "/api/v1/images/app:canary")).body).toMatchObject({
    detail: expect.stringMatching(/fits 2 images: .*app:canary sha256:d{12}/),
  });
  await hub.store.commit([{ kind: "delete-image", digest: late.digest }]);
});

test("an image that a tag names stays, and says which", async () => {
  expect((await hub.call("DELETE", "/api/v1/images/app:v2")).body).toMatchObject({
    code: "image.in-use",
    detail: "app:v2 is used by tag app:canary",
  });
});

test("an order by a tag keeps the digest, and its event says both", async () => {
  const ordered = await hub.call("POST", "/api/v1/machines/node-1/install", {
    body: { image: "app:canary" },
  });
  expect(ordered.body).toMatchObject({ state: { kind: "assigned", intent: { image: digestOf("b") } } });
  const [event] = (await hub.call("GET", "/api/v1/events?from=newest&limit=1")).body
    .items as unknown as never[];
  expect(event).toMatchObject({
    summary: expect.stringContaining("ordered app:v2 (tag canary)"),
    facts: { image: digestOf("b"), tag: "canary" },
  });
});

test("a rollout by a tag keeps both, and another plan comes of a tag that moved", async () => {
  const running = { ...runningOn(1, 0), image: digestOf("a") };
  await hub.store.commit([
    { kind: "insert-site", site: siteRecord({ id: "s-2", name: "north" }) },
    {
      kind: "insert-machine",
      machine: machineRecord({
        id: "m-2",
        name: "till-1",
        siteId: "s-2",
        macs: [macOf(2)],
        state: { kind: "healthy" },
        running,
        lastSeenAt: 0,
      }),
    },
  ]);
  const request = { image: "app:canary", waves: "100%", selector: "site=north" };
  const { body } = await hub.call("POST", "/api/v1/rollouts/plan", { body: request });
  expect(body).toMatchObject({ image: digestOf("b"), imageName: "app:v2", imageTag: "canary" });
  await tag({ image: "app:v1", tag: "canary" });
  const stale = await hub.call("POST", "/api/v1/rollouts", { body: { ...request, planHash: body.hash } });
  expect(stale.status).toBe(409);
});

test("a tag that was taken away names nothing, and its history stays", async () => {
  expect(
    (await hub.call("DELETE", "/api/v1/image-tags/app:canary", { headers: { "if-match": '"1"' } })).status,
  ).toBe(412);
  expect((await hub.call("DELETE", "/api/v1/image-tags/app:canary")).status).toBe(204);
  expect((await hub.call("GET", "/api/v1/image-tags/app:canary")).body).toMatchObject({ code: "not-found" });
  expect((await hub.call("GET", "/api/v1/images/app:canary")).body).toMatchObject({ code: "image.unknown" });
  const { items } = (await hub.call("GET", "/api/v1/image-tags/app:canary/history")).body;
  expect(items).toMatchObject([{ digest: null, fromVersion: "v1" }, {}, {}, {}]);
});
