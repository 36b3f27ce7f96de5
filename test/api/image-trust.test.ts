import { afterEach, beforeEach, expect, test } from "vitest";
import { pushedImageSchema } from "../../src/api/wire.ts";
import type { SignedKeyList } from "../../src/images/key-list.ts";
import { makeBundle, makeKey, smallImage, streamOf, type TestKey } from "../images/bundles.ts";
import { firstKeyList, keyListOf, listedKeys, signedKeyList } from "../images/key-lists.ts";
import { machineRecord, macOf, NOW } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

const [old, next, foreign] = [makeKey(), makeKey(), makeKey()];
const AFTER_LISTS = Date.parse("2026-02-01T00:00:00Z");
let hub: TestHub;
beforeEach(async () => {
  hub = await startTestHub();
  hub.advance(AFTER_LISTS - NOW);
});
afterEach(() => hub[Symbol.asyncDispose]());

const publish = (...lists: SignedKeyList[]) =>
  hub.call("POST", "/api/v1/image-key-lists", { body: { lists } });
const push = async (key: TestKey, version = "1.0", release = 1) => {
  const { bytes } = await makeBundle(smallImage(release), key, "frames", { version, release });
  const headers = { "content-type": "application/x-tar" };
  return hub.call("POST", "/api/v1/images", { as: "ci", raw: streamOf(bytes), headers });
};
const install = (image: string) => hub.call("POST", "/api/v1/machines/node-1/install", { body: { image } });
const addMachine = () =>
  hub.store.commit([
    {
      kind: "insert-machine",
      machine: machineRecord({ name: "node-1", macs: [macOf(1)], state: { kind: "expected" } }),
    },
  ]);

test("the first key is trusted by an admin's word, every later one by the signature of one that is", async () => {
  const trust = (key: TestKey) =>
    hub.call("POST", "/api/v1/image-keys", { body: { name: "ci", publicKeyPem: key.publicKeyPem } });
  expect(await trust(old)).toMatchObject({ status: 201, body: { keyId: old.keyId, trustedBy: "admin" } });
  expect((await trust(foreign)).body).toMatchObject({
    code: "key-list.rejected",
    detail: "the fleet has key list 1: another key is trusted only by a list that one of its keys has signed",
  });
  expect((await hub.call("GET", "/api/v1/image-key-lists", { as: "viewer" })).body).toMatchObject({
    items: [{ version: 1, signature: null, publishedBy: "admin" }],
  });
});

test("a chain is published, once; what does not follow from it is refused and changes nothing", async () => {
  const [first] = firstKeyList(old);
  if (first === undefined) throw new Error("a chain of one");
  const second = signedKeyList(2, [next], old);
  expect(await publish(first, second)).toMatchObject({
    status: 201,
    body: { items: [{ keyId: next.keyId }] },
  });
  expect((await publish(first, second)).status).toBe(201);
  for (const [lists, detail] of [
    [[signedKeyList(3, [foreign], foreign)], "which list 2 does not have: the old list signs the new"],
    [[signedKeyList(3, [foreign], old)], "which list 2 does not have: the old list signs the new"],
    [[signedKeyList(4, [foreign], next)], "key list 4 cannot follow list 2: list 3 is missing"],
    [[first], "the newest key list that was given is 1, and list 2 is known"],
  ] as const) {
    const answer = await publish(...lists);
    expect(answer).toMatchObject({ status: 422, body: { code: "key-list.rejected" } });
    expect(answer.body.detail).toContain(detail);
  }
  expect((await hub.call("GET", "/api/v1/image-key-lists")).body.items).toHaveLength(2);
  const { body } = await hub.call("GET", "/api/v1/events?kind=key-list.published");
  expect(JSON.stringify(body)).toContain("admin published key list 2: images are signed by key-0");
});

test("a list from the future is refused, with both times", async () => {
  hub.advance(Date.parse("2026-01-01T12:00:00Z") - AFTER_LISTS);
  expect((await publish(...firstKeyList(old))).body).toMatchObject({
    detail:
      "key list 1 says that it was made at 2026-01-02T00:00:00.000Z; by the hub's clock it is 2026-01-01T12:00:00.000Z",
  });
});

test("an image of a rotated-out key is shown as refused, and installed only after it is signed anew", async () => {
  const [first] = firstKeyList(old);
  if (first === undefined) throw new Error("a chain of one");
  await publish(first);
  const { image } = pushedImageSchema.parse((await push(old)).body);
  await addMachine();
  await publish(signedKeyList(2, [next], old));

  const why = `it is signed by key key-0, which was rotated out by key list 2 at 2026-01-03T00:00:00.000Z`;
  expect((await hub.call("GET", "/api/v1/images")).body).toMatchObject({
    items: [{ signatureRefusal: why }],
  });
  expect(await install("golden:1.0")).toMatchObject({
    status: 422,
    body: {
      code: "signature.rejected",
      detail: expect.stringContaining("golden:1.0 is signed by key key-0, which was"),
    },
  });
  expect(await push(old)).toMatchObject({ status: 422, body: { code: "signature.rejected" } });

  const again = await push(next);
  expect(again.body).toMatchObject({
    alreadyPresent: true,
    image: { digest: image.digest, keyId: next.keyId },
  });
  expect((await hub.registry.manifest(image.digest))?.signature.keyId).toBe(next.keyId);
  const [shown] = (await hub.call("GET", "/api/v1/images")).body.items as unknown as object[];
  expect(shown).not.toHaveProperty("signatureRefusal");
  expect((await install("golden:1.0")).status).toBe(201);
});

test("an expired key's image is refused from that moment on", async () => {
  const list = keyListOf(1, [
    ...listedKeys([old]).map(key => ({ ...key, expiresAt: "2026-02-02T00:00:00.000Z" })),
    ...listedKeys([next]).map(key => ({ ...key, name: "spare" })),
  ]);
  const { canonicalText } = await import("../../src/images/canonical.ts");
  await publish({ listText: canonicalText(list), signature: null });
  expect((await push(old)).status).toBe(201);
  hub.advance(86_400_000);
  expect((await push(old, "2.0", 2)).body).toMatchObject({
    code: "signature.rejected",
    detail: expect.stringMatching(
      /which expired at 2026-02-02T00:00:00.000Z; by the hub's clock it is 2026-02-02T00:00:00.000Z$/,
    ),
  });
});

test("an install below the floor is refused with both numbers, until an admin lowers the floor and says why", async () => {
  await publish(...firstKeyList(old));
  await push(old, "1.0", 1);
  await addMachine();
  const floor = {
    imageName: "golden",
    release: 4,
    rolloutId: null,
    reason: "rollout r-1 of golden:4.0 is done",
    setAt: 1,
    setBy: "rollout r-1",
  };
  await hub.store.commit([{ kind: "raise-release-floor", floor }]);
  await hub.store.commit([{ kind: "raise-release-floor", floor: { ...floor, release: 2 } }]);
  expect((await hub.call("GET", "/api/v1/release-floors", { as: "viewer" })).body.items).toEqual([floor]);
  expect(await install("golden:1.0")).toMatchObject({
    status: 409,
    body: {
      code: "image.downgrade",
      detail:
        "golden:1.0 is release 1, and the floor of golden is release 4: rollout r-1 of golden:4.0 is done",
    },
  });
  const lower = (release: number) =>
    hub.call("POST", "/api/v1/release-floors/golden/lower", {
      body: { release, reason: "v4 loses receipts" },
    });
  expect((await lower(4)).body).toMatchObject({ code: "request.invalid" });
  expect((await lower(1)).body).toMatchObject({
    release: 1,
    reason: "admin lowered it from release 4: v4 loses receipts",
  });
  expect((await install("golden:1.0")).status).toBe(201);
  const { body } = await hub.call("GET", "/api/v1/events");
  expect(JSON.stringify(body)).toContain(
    "admin lowered the floor of golden from release 4 to 1: v4 loses receipts",
  );
});
