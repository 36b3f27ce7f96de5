/** Whom a machine believes, over real TLS and a real disk in a file: rotation reaches it, and nobody else's key does. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createMachineKey } from "../../../src/agent/machine/io/machine-key.ts";
import { keepReporting } from "../../../src/agent/machine/io/run.ts";
import { stageData } from "../../../src/agent/machine/io/stage-data.ts";
import type { Heartbeat, MachineTarget } from "../../../src/agent/protocol.ts";
import { encodeKeyListFile } from "../../../src/images/io/key-list-file.ts";
import type { SignedKeyList } from "../../../src/images/key-list.ts";
import type { Manifest } from "../../../src/images/manifest.ts";
import { signManifest } from "../../../src/images/signature.ts";
import { makeKey, type TestKey } from "../../images/bundles.ts";
import { TemporaryFolder } from "../../images/disk/system-tools.ts";
import { firstKeyList, signedKeyList } from "../../images/key-lists.ts";
import { DiskFile } from "./helpers/machine-disk.ts";
import { createTestImage, type TestImage } from "./helpers/test-image.ts";
import { TestSite } from "./helpers/test-site.ts";

/** Longer than any test needs on a busy machine. */
const PATIENCE_MS = 20_000;

const old = makeKey();
const next = makeKey();
const foreign = makeKey();
const first = firstKeyList(old);
const rotated: readonly SignedKeyList[] = [...first, signedKeyList(2, [next], old)];

let site: TestSite;
let folder: TemporaryFolder;
let disk: DiskFile;
let running: TestImage;
let said: string[];
let target: MachineTarget | null;

beforeEach(async () => {
  site = await TestSite.start();
  folder = new TemporaryFolder();
  said = [];
  target = null;
  running = await imageBy(old, { release: 3 });
  disk = new DiskFile(folder.path, running);
  const config = {
    siteUrl: site.siteUrl,
    bootUrl: site.bootUrl,
    machineId: "m-1",
    machineName: "till-1",
    installGeneration: 1,
    caPem: site.caPem,
  };
  const keyLists = encodeKeyListFile(0, first);
  await stageData(folder.path, { config, key: await createMachineKey(), signed: running.signed, keyLists });
  site.keyLists = first;
  site.answerHeartbeat = ({ bootCount, seq }) => ({
    acknowledged: { bootCount, seq },
    intervalSeconds: 1,
    target,
  });
});

afterEach(async () => {
  await site[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

async function imageBy(key: TestKey, change: Partial<Manifest>, seed = 0): Promise<TestImage> {
  const image = await createTestImage(change, seed);
  const { manifestText } = image.signed;
  return { ...image, signed: { manifestText, signature: signManifest(manifestText, key.privateKeyPem) } };
}

function offer(image: TestImage): void {
  site.signedManifest = image.signed;
  site.frames = image.frames;
  target = { rolloutId: "r-1", attempt: 1, image: image.digest, strategy: "ab", may: "reboot" };
}

/** One start of the agent, which knows nothing of the one before but the disk. */
async function runUntil(isEnough: (heartbeat: Heartbeat) => boolean): Promise<Heartbeat["update"]> {
  const stop = new AbortController();
  const answer = site.answerHeartbeat;
  let update: Heartbeat["update"] | undefined;
  site.answerHeartbeat = heartbeat => {
    if (isEnough(heartbeat)) {
      ({ update } = heartbeat);
      stop.abort();
    }
    return answer(heartbeat);
  };
  const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  await keepReporting({
    arguments: { slot: "a", image: running.digest },
    bootId: "00000000-0000-4000-8000-000000000001",
    agentVersion: "0.1.0",
    dataFolder: folder.path,
    findDisk: async () => disk.machineDisk,
    readUptimeSeconds: async () => 20,
    reboot: async () => stop.abort(),
    say: line => said.push(line),
    signal: stop.signal,
  });
  clearTimeout(timer);
  site.answerHeartbeat = answer;
  if (update === undefined) throw new Error(`nothing came of it; the machine said:\n${said.join("\n")}`);
  return update;
}

const inPhase =
  (...phases: string[]) =>
  (heartbeat: Heartbeat) =>
    phases.includes(heartbeat.update?.phase ?? "");
const heardTwice = () => site.heartbeats.length > 2;
const keptLists = () => JSON.parse(readFileSync(join(folder.path, "drp/key-lists.json"), "utf8")).lists;

test("a machine follows the rotation, keeps it, and refuses an image of the key that went", async () => {
  site.keyLists = rotated;
  await runUntil(heardTwice);
  expect(said).toContain("key list 2 counts from now on");
  expect(keptLists()).toEqual(rotated);

  // The next start of the agent believes what the last one kept, whatever the site has by then.
  site.keyLists = first;
  offer(await imageBy(old, { version: "v2", release: 4 }, 1));
  const update = await runUntil(inPhase("failed", "written"));
  expect(update).toMatchObject({ phase: "failed" });
  expect(update?.reason).toContain(
    `the manifest is signed by key key-0 (${old.keyId.slice(0, 16)}), which was rotated out by key list 2 at 2026-01-03T00:00:00.000Z`,
  );
  expect(site.askedChunks).toEqual([]);
});

test("a machine takes an image of the new key once the list has come", async () => {
  offer(await imageBy(next, { version: "v2", release: 4 }, 1));
  site.keyLists = rotated;
  expect(await runUntil(inPhase("failed", "written", "armed"))).toMatchObject({ reason: "" });
});

test("a site in wrong hands cannot bring a key of its own", async () => {
  site.keyLists = [...first, signedKeyList(2, [foreign], foreign)];
  offer(await imageBy(foreign, { version: "v2", release: 4 }, 1));
  const update = await runUntil(inPhase("failed", "written"));
  expect(update?.reason).toContain(`the manifest is signed by key ${foreign.keyId}, which is not trusted`);
  expect(said.join("\n")).toContain(
    `the site's key lists are refused: key list 2 is signed by key ${foreign.keyId.slice(0, 16)}, which list 1 does not have`,
  );
  expect(keptLists()).toEqual(first);
});

test("a machine refuses an image that its release is too old for, before it writes anything", async () => {
  offer(await imageBy(old, { version: "v9", release: 9, minimumRelease: 5 }, 1));
  const update = await runUntil(inPhase("failed", "written"));
  expect(update?.reason).toContain(
    "shop:v9 replaces only release 5 of shop or a newer one, and shop:v1 is release 3",
  );
  expect(site.askedChunks).toEqual([]);
  expect(existsSync(join(folder.path, "drp/slots/b"))).toBe(false);
});
