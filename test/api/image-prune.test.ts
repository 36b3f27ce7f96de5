import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adoptUnrecordedImages, isUnrecorded } from "../../src/api/adopt-unrecorded-images.ts";
import { pruneImages } from "../../src/api/prune-images.ts";
import { recordPushedImage } from "../../src/api/record-pushed-image.ts";
import { pushedImageSchema } from "../../src/api/wire.ts";
import { DrpError } from "../../src/core/errors.ts";
import { startAutoPrune } from "../../src/daemon/io/auto-prune.ts";
import { makeBundle, makeKey, smallImage, streamOf } from "../images/bundles.ts";
import { machineRecord, macOf, NOW, newEvent, rolloutRecord } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
/** By release, from 1 on. */
let digests: string[];
const key = makeKey();

beforeEach(async () => {
  hub = await startTestHub();
  await hub.call("POST", "/api/v1/image-keys", { body: { name: "release", publicKeyPem: key.publicKeyPem } });
  digests = [];
  for (const release of [1, 2, 3, 4, 5]) {
    const { bytes } = await makeBundle(smallImage(release), key, "frames", {
      version: `v${release}`,
      release,
    });
    const pushed = await hub.call("POST", "/api/v1/images", { as: "ci", raw: streamOf(bytes) });
    digests.push(pushedImageSchema.parse(pushed.body).image.digest);
    hub.advance(1000);
  }
});
afterEach(() => hub[Symbol.asyncDispose]());

const prune = (body: object) => hub.call("POST", "/api/v1/images/prune", { as: "operator", body });
const versions = async () =>
  ((await hub.call("GET", "/api/v1/images")).body.items as unknown as { version: string }[]).map(
    ({ version }) => version,
  );

test("a dry run removes nothing; the real one removes just that, with its files, and says so in the log", async () => {
  await hub.call("POST", "/api/v1/image-tags", { body: { image: "v1", tag: "stable" } });
  const dry = await prune({ keep: 2, dryRun: true });
  expect(dry.body.images).toMatchObject([
    { version: "v5", verdict: "keep", reason: "newest of golden" },
    { version: "v4", verdict: "keep" },
    { version: "v3", verdict: "remove", reason: "3rd newest of golden; nothing needs it" },
    { version: "v2", verdict: "remove" },
    { version: "v1", verdict: "keep", reason: "tag golden:stable" },
  ]);
  expect(await versions()).toHaveLength(5);
  const real = await prune({ keep: 2 });
  expect(real.body).toEqual(dry.body);
  expect(real.body.freedBytes).toBeGreaterThan(0);
  expect(await versions()).toEqual(["v5", "v4", "v1"]);
  expect(await hub.registry.manifest(digests[1] ?? "")).toBeUndefined();
  expect(await hub.registry.manifest(digests[0] ?? "")).toBeDefined();
  const events = (await hub.call("GET", "/api/v1/events?from=newest&limit=3")).body.items as unknown as {
    kind: string;
    summary: string;
  }[];
  expect(events.map(({ kind }) => kind)).toEqual(["image.pruned", "image.pruned", "images.pruned"]);
  expect(events[2]?.summary).toMatch(/^operator pruned 2 of 5 images: .* of data$/);
  expect((await prune({ keep: 2 })).body.freedBytes).toBe(0);
});

test("who may not remove images may not prune them", async () => {
  expect((await hub.call("POST", "/api/v1/images/prune", { as: "ci", body: {} })).status).toBe(403);
});

test("an image that a rollout or an order takes between the decision and the removal stays", async () => {
  const [v1 = "", v2 = "", v3 = ""] = digests;
  // The last question of the decision is followed by somebody else's orders.
  const racing = new Proxy(hub.store, {
    get(store, name) {
      const method = Reflect.get(store, name).bind(store);
      return name === "listDeniedImages" ? () => takeImages(v1, v2).then(method) : method;
    },
  });
  const deps = { store: racing, registry: hub.registry, clock: Date.now };
  const { verdicts } = await pruneImages(deps, { keepNewest: 1, keepForMs: 0 }, () => newEvent());
  const reasonOf = (digest: string) => verdicts.find(({ image }) => image.digest === digest);
  expect(reasonOf(v1)).toMatchObject({ keep: true, reason: "came to be needed just now" });
  expect(reasonOf(v2)).toMatchObject({ keep: true, reason: "came to be needed just now" });
  expect(reasonOf(v3)).toMatchObject({ keep: false });
  expect(await versions()).toEqual(["v5", "v2", "v1"]);
  expect(await hub.registry.manifest(v1)).toBeDefined();
});

describe("an image that is removed and pushed at the same moment", () => {
  const caller = { tokenId: "t", name: "ci", role: "ci" } as const;
  const pushFirst = async () => {
    const { bytes } = await makeBundle(smallImage(1), key, "frames", { version: "v1", release: 1 });
    return await hub.registry.ingestBundle(streamOf(bytes), [key]);
  };

  test("stays, with its bytes, where the push came first", async () => {
    const [v1 = ""] = digests;
    await hub.store.commit([{ kind: "delete-image", digest: v1 }]);
    await recordPushedImage(hub, await pushFirst(), caller, NOW);
    expect(await hub.registry.remove(v1, () => isUnrecorded(hub.store, v1))).toBe(false);
    expect(await hub.registry.manifest(v1)).toBeDefined();
    expect(await versions()).toContain("v1");
  });

  test("is in no book where its bytes went first, and the push says so", async () => {
    const [v1 = ""] = digests;
    const pushed = await pushFirst();
    await hub.store.commit([{ kind: "delete-image", digest: v1 }]);
    await hub.registry.remove(v1, () => isUnrecorded(hub.store, v1));
    await expect(recordPushedImage(hub, pushed, caller, NOW)).rejects.toMatchObject({
      code: "image.removed",
      advice: "Push it again.",
    });
    expect(await versions()).not.toContain("v1");
    await recordPushedImage(hub, await pushFirst(), caller, NOW);
    expect(await versions()).toContain("v1");
  });
});

test("files without a record, as a cut push or removal leaves them, are entered again, and an event says so", async () => {
  const [v1 = ""] = digests;
  await hub.store.commit([{ kind: "delete-image", digest: v1 }]);
  await adoptUnrecordedImages({ ...hub, clock: () => NOW });
  expect(await versions()).toContain("v1");
  const [event] = (await hub.call("GET", "/api/v1/events?from=newest&limit=1")).body
    .items as unknown as object[];
  expect(event).toMatchObject({ kind: "image.found", facts: { image: v1 } });
});

test("a manifest that has rotted does not keep the other images from being pruned", async () => {
  const damaged = new DrpError("storage.damaged", "rot");
  const registry = new Proxy(hub.registry, {
    get(target, name) {
      if (name === "manifest") return () => Promise.reject(damaged);
      return Reflect.get(target, name).bind(target);
    },
  });
  const deps = { store: hub.store, registry, clock: Date.now };
  await pruneImages(deps, { keepNewest: 1, keepForMs: 0 }, () => newEvent());
  expect(await versions()).toEqual(["v5"]);
});

async function takeImages(forRollout: string, forMachine: string): Promise<void> {
  const { plan, ...rest } = rolloutRecord();
  await hub.store.commit([
    { kind: "require-image", digest: forRollout },
    { kind: "insert-rollout", rollout: { ...rest, plan: { ...plan, image: forRollout } } },
    {
      kind: "insert-machine",
      machine: machineRecord({ macs: [macOf(1)], state: { kind: "booting", image: forMachine } }),
    },
  ]);
}

test("where the hub prunes by itself, a push takes the oldest away that nothing needs, and tells it", async () => {
  const failures: unknown[] = [];
  const deps = { store: hub.store, registry: hub.registry, clock: Date.now };
  const stop = startAutoPrune(deps, { keepNewest: 5, keepForMs: 0 }, error => failures.push(error));
  const { bytes } = await makeBundle(smallImage(6), key, "frames", { version: "v6", release: 6 });
  await hub.call("POST", "/api/v1/images", { as: "ci", raw: streamOf(bytes) });
  await stop();
  expect(failures).toEqual([]);
  expect(await versions()).toEqual(["v6", "v5", "v4", "v3", "v2"]);
  const [event] = (await hub.call("GET", "/api/v1/events?from=newest&limit=1")).body
    .items as unknown as object[];
  expect(event).toMatchObject({
    kind: "image.pruned",
    summary: "golden:v1 was pruned after a push (6th newest of golden; nothing needs it)",
  });
});
