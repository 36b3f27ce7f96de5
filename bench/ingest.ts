/**
 * A pushed image on its way into the registry (read, split, check, hash, compress, store, fsync) against `casync make` of the same
 * image, which does the same for its store but for the fsyncs: it makes none.
 */
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { canonicalText } from "../src/images/canonical.ts";
import { writeBundle } from "../src/images/io/bundle-writer.ts";
import type { Manifest } from "../src/images/manifest.ts";
import { signManifest } from "../src/images/signature.ts";
import {
  type Benchmark,
  type BenchRun,
  comparedWithPeer,
  heldAgainstLimit,
  measureInTurn,
  type Result,
} from "./benchmark.ts";
import { bundleScript } from "./bundle-script.ts";
import { debianImages, incompressibleImage } from "./debian-images.ts";
import type { IngestOutcome } from "./ingest-ours.ts";
import { layChunks } from "./lay-chunks.ts";
import { fetchPrograms, type Programs } from "./peers.ts";
import { runClient } from "./wire.ts";

/** At least three; the incompressible image, told for information, takes a minute a pair. */
const PAIRS = 3;
const MEMORY_LIMIT_MEGABYTES = 200;
const LONG_GIB = 20;

export const ingestBenchmark: Benchmark = {
  name: "ingest",
  summary: "split, hash, compress and store 1 GiB, against casync make; memory at 20 GiB",
  run: measureIngest,
};

async function measureIngest(run: BenchRun): Promise<readonly Result[]> {
  const programs = await fetchPrograms(
    ["casync"],
    "the intake of images cannot be compared with casync make",
  );
  const script = await bundleScript("ingest-ours.ts", run.folder);
  const peaks: number[] = [];
  const results: Result[] = [];
  const images = [
    { name: "golden image", file: (await debianImages(run)).v1, bar: 2 },
    { name: "incompressible image", file: await incompressibleImage(), bar: null },
  ];
  for (const { name, file, bar } of images) {
    const pushed = await pushable(file, run);
    const pairs = await measureInTurn(PAIRS, {
      ours: () =>
        timed(run, async registry =>
          peaks.push((await ingest(run, [script, registry, ...pushed])).peakBytes),
        ),
      peer: () => timed(run, store => makeWithCasync(run, programs, file, store)),
    });
    await rm(path.join(run.folder, "bundle"), { recursive: true });
    const told = (values: readonly number[]) => values.map(value => value.toFixed(2)).join(", ");
    run.say(`${name}: ours ${told(pairs.ours)} s, casync make ${told(pairs.peer)} s`);
    const comparison = { case: `${name} vs casync make`, unit: "s", better: "lower", bar } as const;
    results.push(comparedWithPeer(run.bench, comparison, pairs));
  }
  const bound = { unit: "MB", better: "lower", limit: MEMORY_LIMIT_MEGABYTES } as const;
  const most = { ...bound, case: "most memory of ours at 1 GiB" };
  results.push(heldAgainstLimit(run.bench, most, Math.max(...peaks) / 1e6));
  run.say(`an image of ${LONG_GIB} GiB`);
  await timed(run, async registry => {
    const { peakBytes } = await ingest(run, [script, registry, "long", String(LONG_GIB)]);
    const long = { ...bound, case: `most memory of ours at ${LONG_GIB} GiB` };
    results.push(heldAgainstLimit(run.bench, long, peakBytes / 1e6));
  });
  return results;
}

/** @returns the arguments of ingest-ours.ts for a bundle with the raw image in it */
async function pushable(file: string, { folder }: BenchRun): Promise<string[]> {
  const work = path.join(folder, "bundle");
  await mkdir(work);
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const manifest: Manifest = {
    formatVersion: 1,
    name: "golden",
    version: "1",
    architecture: "amd64",
    createdAt: "2026-01-01T00:00:00Z",
    release: 1,
    minimumRelease: 0,
    payloads: [await layChunks(file, work)],
    attachments: [],
    kernelArguments: [],
    healthChecks: [],
  };
  await rm(path.join(work, "chunks"), { recursive: true });
  const manifestText = canonicalText(manifest);
  const signature = signManifest(
    manifestText,
    privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  );
  const bundle = path.join(work, "bundle.tar");
  const payload = { entry: "rootfs.img", path: file };
  await writeBundle({ signed: { manifestText, signature }, payload, attachments: [], createdAt: 0 }, bundle);
  const key = path.join(work, "key.pub");
  await writeFile(key, publicKey.export({ type: "spki", format: "pem" }));
  return [key, bundle];
}

async function ingest({ signal }: BenchRun, args: readonly string[]): Promise<IngestOutcome> {
  const printed = await runClient({ namespace: null, program: process.execPath, args, signal });
  return JSON.parse(printed) as IngestOutcome;
}

async function makeWithCasync(
  { signal }: BenchRun,
  programs: Programs,
  file: string,
  store: string,
): Promise<void> {
  await mkdir(store);
  const args = ["make", `--store=${path.join(store, "chunks.castr")}`, path.join(store, "image.caibx"), file];
  await runClient({ namespace: null, program: programs.find("casync"), args, env: programs.env, signal });
}

/** @returns seconds, of a store that is new; nothing of an earlier run is left to write when it begins */
async function timed({ folder }: BenchRun, store: (folder: string) => Promise<unknown>): Promise<number> {
  const dir = path.join(folder, "store");
  await promisify(execFile)("sync", ["-f", folder]);
  const begun = performance.now();
  await store(dir);
  const took = (performance.now() - begun) / 1000;
  await rm(dir, { recursive: true });
  return took;
}
