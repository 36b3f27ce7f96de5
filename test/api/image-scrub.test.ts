import { readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ImageScrub } from "../../src/api/image-scrub.ts";
import { imageScrubSchema } from "../../src/api/wire.ts";
import { type HubUser, runDrp, userOf } from "../cli/run-drp.ts";
import { makeBundle, makeKey, smallImage, streamOf } from "../images/bundles.ts";
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

test("a viewer may look at a check of the images, and not begin one", async () => {
  const state = await hub.call("GET", "/api/v1/images/scrub", { as: "viewer" });
  expect(imageScrubSchema.parse(state.body)).toMatchObject({ state: "never", startedAt: null });
  expect((await hub.call("POST", "/api/v1/images/scrub", { as: "ci" })).status).toBe(403);
});

test("drp images scrub names the image that has suffered, raises alarms, and a second push mends it", async () => {
  const key = makeKey();
  const { bytes, manifest } = await makeBundle(smallImage(), key);
  await hub.call("POST", "/api/v1/image-keys", { body: { name: "release", publicKeyPem: key.publicKeyPem } });
  const push = () =>
    hub.call("POST", "/api/v1/images", {
      raw: streamOf(bytes),
      headers: { "content-type": "application/x-tar" },
    });
  expect((await push()).status).toBe(201);
  const sound = await runDrp(["images", "scrub", "-o", "table"], user.env);
  expect(sound).toMatchObject({ code: 0, stdout: expect.stringContaining("3 chunks checked") });

  const path = (await hub.registry.findChunk(manifest.payloads[0]?.chunks[0] ?? "")) ?? "";
  writeFileSync(path, "rot");
  const found = await runDrp(["images", "scrub", "-o", "table"], user.env);
  expect(found.code).toBe(1);
  expect(found.stdout).toContain("golden:1.0: 1 chunks lost");
  expect(found.stdout).toContain("Push the same bundle of each again");
  const events = (await hub.call("GET", "/api/v1/events")).body.items as unknown as {
    kind: string;
    severity: string;
  }[];
  expect(
    events
      .filter(({ severity }) => severity === "alarm")
      .map(({ kind }) => kind)
      .sort(),
  ).toEqual(["image.damaged", "images.chunk-rotten"]);
  expect(readdirSync(join(dirname(path), "../../quarantine"))).toHaveLength(1);

  expect((await push()).status).toBe(201);
  expect(await runDrp(["images", "scrub"], user.env)).toMatchObject({ code: 0 });
});

test("a check that cannot be begun, or that ends with the hub, is not called running", async () => {
  const caller = { tokenId: "t", name: "ops", role: "operator" } as const;
  let isBroken = true;
  const store = new Proxy(hub.store, {
    get(target, name) {
      if (name === "commit" && isBroken) return () => Promise.reject(new Error("disk full"));
      return Reflect.get(target, name).bind(target);
    },
  });
  const stopping = new AbortController();
  const scrub = new ImageScrub({
    store,
    registry: hub.registry,
    clock: Date.now,
    stopping: stopping.signal,
  });
  await expect(scrub.begin(caller)).rejects.toThrow("disk full");
  expect(scrub.state.state).toBe("never");
  isBroken = false;
  expect((await scrub.begin(caller)).state).toBe("running");
  stopping.abort();
  await vi.waitFor(() =>
    expect(scrub.state).toMatchObject({ state: "failed", failure: expect.stringContaining("aborted") }),
  );
});
