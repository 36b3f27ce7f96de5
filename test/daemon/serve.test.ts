import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { callApi, freePorts, Hubs, untilReady } from "./helpers/hubs.ts";

let hubs: Hubs;
beforeEach(() => {
  hubs = new Hubs();
});
afterEach(() => hubs[Symbol.asyncDispose]());

const startServe = (...flags: string[]) => hubs.start(...flags);
const getJson = (port: number, path: string, data: string) => callApi(port, "GET", path, data);

test("the hub starts without configuration, says what is off and why, and stops in order at SIGTERM", async () => {
  const data = join(hubs.folder, "data");
  const { flags, api } = await freePorts();
  const served = startServe("--data", data, ...flags);
  await untilReady(served);
  expect(served.words()).toContain(`https://localhost:${api}`);
  expect(served.words()).toMatch(/dhcp off +no subnet/);
  expect(await getJson(api, "/api/v1/sites/local", data)).toMatchObject({
    name: "local",
    unknown: "discover",
  });
  expect(await getJson(api, "/api/v1/leases", data)).toEqual({ items: [], next: null });
  const before = readFileSync(join(data, "admin.token"), "utf8");
  served.child.kill("SIGTERM");
  served.child.kill("SIGINT"); // Ctrl-C comes from the terminal and from npm: the second must not cut off the stop.
  expect(await served.exited).toEqual([0, null]);

  const again = startServe("--data", data, ...flags);
  await untilReady(again);
  expect(readFileSync(join(data, "admin.token"), "utf8")).toBe(before);
  expect(await getJson(api, "/api/v1/session", data)).toEqual({ name: "first-admin", role: "admin" });
});

test("a second hub on the same data or the same port ends with 1 and says what to do; the first goes on", async () => {
  const data = join(hubs.folder, "data");
  const first = await freePorts();
  const hub = startServe("--data", data, ...first.flags);
  await untilReady(hub);

  const sameData = startServe("--data", data, ...(await freePorts()).flags);
  expect(await sameData.exited).toEqual([1, null]);
  expect(sameData.words()).toContain(`already uses the data folder ${data}\n  → `);

  const samePort = startServe(
    "--data",
    join(hubs.folder, "other"),
    ...(await freePorts()).flags,
    "--api-port",
    String(first.api),
  );
  expect(await samePort.exited).toEqual([1, null]);
  expect(samePort.words()).toContain(`port ${first.api} is already in use`);
  expect(samePort.words()).toContain("  → ");
  expect(await getJson(first.api, "/api/v1/status", data)).toMatchObject({ version: expect.any(String) });
});

test("a hub that was killed starts again on the same data", async () => {
  const data = join(hubs.folder, "data");
  const { flags, api } = await freePorts();
  const hub = startServe("--data", data, ...flags);
  await untilReady(hub);
  const tokens = await getJson(api, "/api/v1/tokens", data);
  hub.child.kill("SIGKILL");
  await hub.exited;
  await untilReady(startServe("--data", data, ...(await freePorts()).flags, "--api-port", String(api)));
  expect(await getJson(api, "/api/v1/tokens", data)).toEqual(tokens);
});

test("a full disk under the data ends it at once, names the file and what to do", async context => {
  const data = join(hubs.folder, "data");
  mkdirSync(data);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=40k", "drp-test", data], {
    encoding: "utf8",
  });
  if (mounted.status !== 0)
    context.skip(`cannot mount a small tmpfs: ${mounted.stderr || mounted.error?.message}`);
  try {
    const served = startServe("--data", data, ...(await freePorts()).flags);
    expect(await served.exited).toEqual([1, null]);
    expect(served.words()).toMatch(new RegExp(`^drp: no room left .*${data}.*\n {2}→ Free space`));
  } finally {
    spawnSync("umount", [data]);
  }
});

test.each([
  ["a wrong flag", ["--colour", "red"], 2, "--colour"],
  ["a wrong value", ["--api-port", "99999"], 1, "--api-port: api.port"],
  [
    "a configuration that is not there",
    ["--config", "none.yaml"],
    1,
    "none.yaml: the configuration file cannot be read",
  ],
])("%s ends it at once, without a stack trace", async (_name, flags, code, words) => {
  const served = startServe("--data", join(hubs.folder, "data"), ...flags);
  expect(await served.exited).toEqual([code, null]);
  expect(served.words()).toContain(words);
  expect(served.words()).not.toMatch(/ {4}at /);
});
