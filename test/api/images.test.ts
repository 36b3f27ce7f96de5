import { afterAll, beforeAll, expect, test } from "vitest";
import { pushedImageSchema } from "../../src/api/wire.ts";
import { makeBundle, makeKey, smallImage, streamOf } from "../images/bundles.ts";
import { machineRecord, macOf } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
const key = makeKey();
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

const bundle = async (seed: number, version = "1.0") =>
  (await makeBundle(smallImage(seed), key, "frames", { version })).bytes;

const push = (bytes: Buffer) =>
  hub.call("POST", "/api/v1/images", {
    as: "ci",
    raw: streamOf(bytes),
    headers: { "content-type": "application/x-tar" },
  });

test("an image signed by a key that nobody trusts is refused, and accepted once the key is trusted", async () => {
  const bytes = await bundle(1);
  expect(await push(bytes)).toMatchObject({ status: 422, body: { code: "signature.rejected" } });
  expect((await hub.call("GET", "/api/v1/images")).body.items).toEqual([]);
  const trusted = await hub.call("POST", "/api/v1/image-keys", {
    body: { name: "release", publicKeyPem: key.publicKeyPem },
  });
  expect(trusted).toMatchObject({ status: 201, body: { keyId: key.keyId, trustedBy: "admin" } });
  const pushed = await push(bytes);
  expect(pushed.status).toBe(201);
  const { image, alreadyPresent } = pushedImageSchema.parse(pushed.body);
  expect(image).toMatchObject({ name: "golden", version: "1.0", keyId: key.keyId, pushedBy: "ci" });
  expect(alreadyPresent).toBe(false);
  expect((await hub.call("GET", "/api/v1/images/golden:1.0")).body).toEqual(image);
  expect(await hub.registry.manifest(image.digest)).toBeDefined();
});

test("pushing the same content again says so and keeps who pushed it first", async () => {
  const first = (await hub.call("GET", "/api/v1/images/golden:1.0")).body;
  const again = await push(await bundle(1));
  expect(again.body).toEqual({ image: first, alreadyPresent: true });
});

test.each([
  ["half a bundle", async () => (await bundle(2)).subarray(0, 6000), "bundle.truncated"],
  ["a bundle with one byte changed", async () => flipByte(await bundle(2)), "bundle."],
])("%s is refused and leaves no image behind", async (_name, make, code) => {
  const answer = await push(await make());
  expect(answer.status).toBe(422);
  expect(answer.body).toMatchObject({ code: expect.stringContaining(code) });
  expect((await hub.call("GET", "/api/v1/images")).body.items).toHaveLength(1);
});

test("an image that a machine runs stays; one that nobody needs goes, with its files", async () => {
  const { image } = pushedImageSchema.parse((await push(await bundle(3, "3.0"))).body);
  const state = { kind: "booting", image: image.digest } as const;
  await hub.store.commit([
    { kind: "insert-machine", machine: machineRecord({ name: "runs-3", macs: [macOf(3)], state }) },
  ]);
  const remove = () => hub.call("DELETE", `/api/v1/images/${image.digest}`, { as: "operator" });
  expect(await remove()).toMatchObject({
    status: 409,
    body: { code: "image.in-use", detail: "golden:3.0 is used by runs-3" },
  });
  await hub.call("DELETE", "/api/v1/machines/runs-3");
  expect((await remove()).status).toBe(204);
  expect(await hub.registry.manifest(image.digest)).toBeUndefined();
  expect((await remove()).body).toMatchObject({ code: "image.unknown" });
});

/** In the middle of the payload. */
function flipByte(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  const at = Math.floor(changed.length * 0.8);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}
