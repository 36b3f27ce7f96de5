import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";

let base: string;
let running: ChildProcess[];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "drp-serve-"));
  running = [];
});
afterEach(async () => {
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
  rmSync(base, { recursive: true, force: true });
});

interface Served {
  readonly child: ChildProcess;
  /** Everything on stderr so far. */
  readonly words: () => string;
  readonly exited: Promise<unknown[]>;
}

function startServe(...flags: string[]): Served {
  const main = join(import.meta.dirname, "../../src/main.ts");
  const child = spawn(process.execPath, [main, "serve", ...flags], {
    cwd: base,
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.push(child);
  let words = "";
  child.stderr?.on("data", chunk => {
    words += chunk;
  });
  return { child, words: () => words, exited: once(child, "close") };
}

async function untilReady(served: Served): Promise<void> {
  while (!served.words().includes("admin token")) {
    const ended = await Promise.race([
      once(served.child.stderr ?? served.child, "data"),
      served.exited.then(() => "ended"),
    ]);
    if (ended === "ended") throw new Error(`drp serve ended:\n${served.words()}`);
  }
}

async function freePorts(): Promise<{ flags: string[]; api: number }> {
  const servers = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map(server => (server.address() as { port: number }).port);
  await Promise.all(servers.map(server => once(server.close(), "close")));
  const names = ["--api-port", "--boot-port", "--machine-channel-port", "--tftp-port"];
  return { flags: names.flatMap((name, index) => [name, String(ports[index])]), api: ports[0] ?? 0 };
}

async function getJson(port: number, path: string, data: string): Promise<unknown> {
  const token = readFileSync(join(data, "admin.token"), "utf8").trim();
  const [response] = await once(
    get({
      host: "localhost",
      port,
      path,
      ca: readFileSync(join(data, "ca.pem")),
      headers: { authorization: `Bearer ${token}` },
    }),
    "response",
  );
  return json(response);
}

test("the hub starts without configuration, says what is off and why, and stops in order at SIGTERM", async () => {
  const data = join(base, "data");
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
  const data = join(base, "data");
  const first = await freePorts();
  const hub = startServe("--data", data, ...first.flags);
  await untilReady(hub);

  const sameData = startServe("--data", data, ...(await freePorts()).flags);
  expect(await sameData.exited).toEqual([1, null]);
  expect(sameData.words()).toContain(`already uses the data folder ${data}\n  → `);

  const samePort = startServe(
    "--data",
    join(base, "other"),
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
  const data = join(base, "data");
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
  const data = join(base, "data");
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
  const served = startServe("--data", join(base, "data"), ...flags);
  expect(await served.exited).toEqual([code, null]);
  expect(served.words()).toContain(words);
  expect(served.words()).not.toMatch(/ {4}at /);
});
