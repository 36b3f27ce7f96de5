/** A site agent as a process of its own, behind a WAN line whose bytes are counted, and twenty machines that install at once. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createFrameFetcher } from "../../src/agent/machine/io/boot-http.ts";
import { writeMembership } from "../../src/agent/site/io/site-membership.ts";
import { chunkLength } from "../../src/images/chunker.ts";
import { chunkDigest } from "../../src/images/digest.ts";
import { decodeChunk } from "../../src/images/io/chunk-codec.ts";
import { DeltaDesk } from "../../src/images/io/delta-desk.ts";
import { TaskWindow } from "../../src/images/io/task-window.ts";
import { CHUNK_BYTES, type ImageDigest, manifestSchema } from "../../src/images/manifest.ts";
import { MAX_FRAME_BYTES } from "../../src/images/zstd-frames.ts";
import { versions, WanSite } from "../agent/site/wan-site.ts";
import { installIntent, machineRecord, macOf } from "../store/records.ts";
import { freePorts } from "./helpers/hubs.ts";

const MACHINES = 20;
/** As a machine does. */
const CHUNKS_AHEAD = 6;

let hub: WanSite;
let desk: DeltaDesk;
const agents: ChildProcess[] = [];
beforeEach(async () => {
  hub = await WanSite.open(async ({ dir, registry }) => {
    desk = await DeltaDesk.open({
      dir: join(dir, "deltas"),
      registry,
      command: [process.execPath, join(import.meta.dirname, "../../src/main.ts"), "delta-process"],
      maxBytes: 1e9,
      clock: Date.now,
      onError: (context, error) => console.error(context, error),
    });
    return desk;
  });
});
afterEach(async () => {
  for (const agent of agents.splice(0)) {
    if (agent.exitCode !== null || agent.signalCode !== null) continue;
    const exited = once(agent, "exit");
    agent.kill("SIGKILL");
    await exited;
  }
  await desk.stop();
  await hub[Symbol.asyncDispose]();
});

/** @returns the URL of its boot HTTP */
async function startSite(name: string): Promise<{ url: string; agent: ChildProcess }> {
  const folder = join(hub.dir, name);
  const { flags } = await freePorts();
  mkdirSync(folder);
  writeMembership(folder, {
    siteId: "s-1",
    siteName: "shop-1",
    hubUrl: hub.wan.url,
    caPem: hub.fleet.caPem,
    tls: hub.fleet.site.tls,
  });
  const ports = ["--boot-port", "--machine-channel-port", "--tftp-port"].flatMap(flag => [
    flag,
    flags[flags.indexOf(flag) + 1] ?? "",
  ]);
  const main = join(import.meta.dirname, "../../src/main.ts");
  const agent = spawn(process.execPath, [main, "site", "run", "--data", folder, ...ports], {
    cwd: hub.dir,
    stdio: ["ignore", "ignore", "pipe"],
  });
  agents.push(agent);
  let words = "";
  agent.stderr?.on("data", chunk => {
    words += chunk;
  });
  await vi.waitFor(
    () => {
      if (agent.exitCode !== null) throw new Error(words);
      expect(words).toContain("is running");
    },
    { timeout: 20_000 },
  );
  return { url: `http://127.0.0.1:${ports[1]}`, agent };
}

async function order(image: ImageDigest, revision: number): Promise<void> {
  const state = { kind: "assigned", intent: installIntent(image, { id: `i-${revision}` }) } as const;
  const machine = machineRecord({ siteId: "s-1", macs: [macOf(1)], state, revision });
  await hub.store.commit([
    revision === 1
      ? { kind: "insert-machine", machine }
      : { kind: "update-machine", machine, expectedRevision: revision - 1 },
  ]);
}

/** As a machine that installs: every chunk of the image, each verified. */
async function fetchAll(url: string, digest: ImageDigest): Promise<Buffer> {
  const signed = await hub.registry.manifest(digest);
  const [payload] = manifestSchema.parse(JSON.parse(signed?.manifestText ?? "")).payloads;
  if (payload === undefined) throw new Error("an image has a payload");
  const { fetchFrame, close } = createFrameFetcher(url, () => {});
  const image = Buffer.alloc(payload.sizeBytes);
  try {
    const window = new TaskWindow(CHUNKS_AHEAD);
    for (const [index, chunk] of payload.chunks.entries()) {
      await window.start(async () => {
        const memory = Buffer.alloc(MAX_FRAME_BYTES);
        const frame = await fetchFrame(chunk ?? "", memory, new AbortController().signal);
        const bytes = await decodeChunk(frame, chunkLength(payload, index));
        expect(chunkDigest(bytes)).toBe(chunk);
        bytes.copy(image, index * CHUNK_BYTES);
      });
    }
    await window.finish();
  } finally {
    close();
  }
  return image;
}

async function installAll(url: string, digest: ImageDigest, image: Buffer, machines: number): Promise<void> {
  const installed = await Promise.all(Array.from({ length: machines }, () => fetchAll(url, digest)));
  for (const disk of installed) expect(disk.equals(image)).toBe(true);
}

const known = (url: string, digest: ImageDigest) =>
  vi.waitFor(
    async () => {
      const signed = await hub.registry.manifest(digest);
      const [chunk] = manifestSchema.parse(JSON.parse(signed?.manifestText ?? "")).payloads[0]?.chunks ?? [];
      expect((await fetch(`${url}/chunks/${chunk}`)).status).toBe(200);
    },
    { timeout: 20_000 },
  );

test("twenty machines cost the WAN what one costs, for an install and for an update", async () => {
  const [before, after] = versions(4);
  const v1 = await hub.push(before, { version: "v1" });
  await order(v1, 1);
  let from = hub.wan.downBytes;
  const single = await startSite("single");
  await known(single.url, v1);
  await installAll(single.url, v1, before, 1);
  const ofOne = hub.wan.downBytes - from;
  single.agent.kill("SIGKILL");

  from = hub.wan.downBytes;
  const twenty = await startSite("twenty");
  await known(twenty.url, v1);
  await installAll(twenty.url, v1, before, MACHINES);
  const ofTwenty = hub.wan.downBytes - from;
  expect(Math.abs(ofTwenty - ofOne)).toBeLessThan(before.length * 0.02);
  expect(ofTwenty).toBeLessThan(before.length * 1.02);

  const v2 = await hub.push(after, { version: "v2" });
  from = hub.wan.downBytes;
  await order(v2, 2);
  await known(twenty.url, v2);
  await installAll(twenty.url, v2, after, MACHINES);
  const ofUpdate = hub.wan.downBytes - from;
  const transfer = await vi.waitFor(async () => {
    const query = { limit: 10, from: "newest", siteId: "s-1", kindPrefix: "image." } as const;
    const event = (await hub.store.listEvents(query)).at(-1);
    expect(event?.facts).toMatchObject({ how: "delta", image: v2 });
    return event;
  });
  const { deltaBytes = 0, wholeBytes = 0 } = transfer?.facts ?? {};
  expect(ofUpdate).toBeLessThan(Number(deltaBytes) * 1.02);
  expect(deltaBytes).toBeLessThan(Number(wholeBytes) * 0.6);
  expect(transfer?.summary).toContain("came as a delta of");
}, 120_000);
