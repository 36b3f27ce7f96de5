import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contain } from "../../src/cli/io/contain.ts";
import type { Ended } from "./run-drp.ts";

const MAIN = resolve("src/main.ts");

test("what an old package throws from a socket's callback becomes a rejection", async () => {
  const probe = () =>
    new Promise<never>(() => {
      setImmediate(() => {
        throw new Error("thrown from a callback");
      });
    });
  await expect(contain(5000, probe)).rejects.toThrow("thrown from a callback");
});

test("a probe that never ends is given up", async () => {
  await expect(contain(20, () => new Promise<never>(() => {}))).rejects.toThrow("no answer within 0.02 s");
});

test("what a probe prints does not reach the answer", async () => {
  const { log } = console;
  const seen: unknown[] = [];
  console.log = (line: unknown) => seen.push(line);
  await contain(5000, async () => console.log("Option 93 not known"));
  console.log("after");
  console.log = log;
  expect(seen).toEqual(["after"]);
});

const missing = missingForNamespaces();
if (missing !== undefined) console.warn(`skipped: drp doctor on a network of its own: ${missing}`);

describe.skipIf(missing !== undefined)("drp doctor", () => {
  const hubSide = `drpdoc-${process.pid}-a`;
  const otherSide = `drpdoc-${process.pid}-b`;
  const folder = mkdtempSync(join(tmpdir(), "drp-doctor-"));
  const env = {
    PATH: process.env.PATH ?? "",
    DRP_CONFIG: join(folder, "drp.yaml"),
    DRP_DATA: join(folder, "data"),
  };
  let hub: ReturnType<typeof start>;

  beforeAll(async () => {
    for (const name of [hubSide, otherSide]) ip("netns", "add", name);
    ip("link", "add", "site0", "netns", hubSide, "type", "veth", "peer", "name", "site1", "netns", otherSide);
    ip("-n", hubSide, "link", "set", "lo", "up");
    ip("-n", hubSide, "addr", "add", "10.9.0.1/24", "dev", "site0");
    ip("-n", hubSide, "link", "set", "site0", "up");
    // As most hosts have one: without it, a careless client could not even do harm.
    ip("-n", hubSide, "route", "add", "default", "via", "10.9.0.2");
    ip("-n", otherSide, "addr", "add", "10.9.0.2/24", "dev", "site1");
    ip("-n", otherSide, "link", "set", "site1", "up");
    writeBootFiles(join(folder, "boot"));
    writeFileSync(env.DRP_CONFIG, CONFIG.replaceAll("FOLDER", folder));
    hub = start(hubSide, MAIN, "serve");
    expect((await drp("status", "--wait", "--timeout", "20s")).code).toBe(0);
  }, 30_000);

  afterAll(async () => {
    await stop(hub);
    for (const name of [hubSide, otherSide]) ip("netns", "del", name);
    rmSync(folder, { recursive: true });
  });

  test("finds nothing wrong where a hub serves its site", async () => {
    const { code, stdout } = await drp("doctor", "-o", "table");
    expect(stdout).toMatch(
      /^ok {7}dhcp +on site0: 10\.9\.0\.1 \(ours\) offers 10\.9\.0\.1\d\d and snponly\.efi$/m,
    );
    expect(stdout).toMatch(/^ok {7}tftp undionly\.kpxe +70000 bytes from 10\.9\.0\.1:69 /m);
    expect(stdout).toMatch(/^ok {7}http ramdisk\/initrd\.img /m);
    expect(stdout).toContain("\nno problem found\n");
    expect(code).toBe(0);
  });

  test("only asks: it requests no address from anyone", async () => {
    await drp("doctor");
    const { stdout } = await drp("events", "list");
    const kinds = stdout.match(/"kind":"dhcp\.[a-z-]+"/g);
    expect(new Set(kinds)).toEqual(new Set(['"kind":"dhcp.offer"']));
  });

  test("names a second DHCP server and calls it a problem", async () => {
    const rogue = start(otherSide, resolve("test/cli/other-dhcp-server.ts"));
    await new Promise(listening => rogue.stdout.once("data", listening));
    const { code, stdout } = await drp("doctor", "-o", "table");
    await stop(rogue);
    expect(stdout).toMatch(/^problem {2}dhcp .*10\.9\.0\.1 \(ours\)/m);
    expect(stdout).toMatch(/^problem {2}dhcp .*10\.9\.0\.2 \(another's\) offers 10\.9\.0\.2\d\d/m);
    expect(stdout).toContain(
      "→ Keep one that gives addresses, or set dhcp.mode: proxy; machines take whichever answer comes first.",
    );
    expect(code).toBe(1);
  });

  test("says what does not answer, and ends 1", async () => {
    const { code, stdout } = await drp("doctor", "-o", "json", "--tftp-port", "6969", "--boot-port", "1");
    const checks = stdout
      .trimEnd()
      .split("\n")
      .map(line => JSON.parse(line));
    const results = Object.fromEntries(checks.map(({ name, result }) => [name, result]));
    expect(results).toMatchObject({
      dhcp: "ok",
      "tftp snponly.efi": "problem",
      "http ramdisk/vmlinuz": "problem",
    });
    expect(code).toBe(1);
  });

  function start(namespace: string, ...command: string[]) {
    return spawn("ip", ["netns", "exec", namespace, process.execPath, ...command], {
      stdio: ["ignore", "pipe", "pipe"],
      env,
    });
  }

  async function drp(...args: string[]): Promise<Ended> {
    const child = start(hubSide, MAIN, ...args);
    const closed = new Promise<number | null>(done => child.on("close", done));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await closed, stdout, stderr };
  }
});

async function stop(child: ReturnType<typeof spawn>): Promise<void> {
  const closed = new Promise(done => child.on("close", done));
  child.kill("SIGTERM");
  await closed;
}

function writeBootFiles(folder: string): void {
  mkdirSync(join(folder, "loaders"), { recursive: true });
  const sizes = {
    vmlinuz: 10,
    "ramdisk.img": 20,
    "loaders/undionly.kpxe": 70_000,
    "loaders/snponly.efi": 170_000,
  };
  for (const [name, size] of Object.entries(sizes))
    writeFileSync(join(folder, name), Buffer.alloc(size, name));
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: "pipe" });
}

function missingForNamespaces(): string | undefined {
  const probe = `drpdoc-${process.pid}`;
  try {
    ip("netns", "add", probe);
    ip("netns", "del", probe);
    return undefined;
  } catch (error) {
    return `network namespaces are not to be had (${error instanceof Error ? error.message.split("\n")[0] : error})`;
  }
}

const CONFIG = `
data: FOLDER/data
boot:
  files: FOLDER/boot
dhcp:
  interfaces: [site0]
  subnets:
    - network: 10.9.0.0/24
      pools: [10.9.0.100-10.9.0.199]
`;
