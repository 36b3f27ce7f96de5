/** Room that ten versions of one golden image take: in our registry, old ones being deltas, and in a store of casync's. */
import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { canonicalText } from "../src/images/canonical.ts";
import { chunkLength, isZeroChunk, splitChunks } from "../src/images/chunker.ts";
import { chunkDigest, imageDigest } from "../src/images/digest.ts";
import { runDeltaJob } from "../src/images/io/delta-process.ts";
import { openRegistry, type Registry } from "../src/images/io/registry.ts";
import { TaskWindow } from "../src/images/io/task-window.ts";
import { CHUNK_BYTES, type ChunkDigest, type Manifest } from "../src/images/manifest.ts";
import type { HistoryImage } from "../src/images/plan-history.ts";
import {
  type Benchmark,
  type BenchRun,
  comparedWithPeer,
  heldAgainstLimit,
  type Result,
} from "./benchmark.ts";
import { debianImages, IMAGE_BYTES } from "./debian-images.ts";
import { fetchPrograms } from "./peers.ts";

const run = promisify(execFile);
const LOST = "there is nobody to compare a history's room with";
/** "at most 1.3 × the space that casync takes": of the peer's bytes in ours. */
const BAR = 0.77;
const MEBIBYTE = 1024 ** 2;
/** Sizes come out the same every time. */
const ROUNDS = 3;

export const historyBenchmark: Benchmark = {
  name: "history",
  summary: "room for ten versions of a Debian image: our registry and casync's store (minutes)",
  run: measureHistory,
};

export async function measureHistory(bench: BenchRun): Promise<readonly Result[]> {
  const { history } = await debianImages(bench);
  const ours = await measureOurs(history, bench);
  const peer = await measureCasync(history, bench);
  const same = (value: number) => Array.from({ length: ROUNDS }, () => value / MEBIBYTE);
  const compared = (name: string, bytes: number, bar: number | null) =>
    comparedWithPeer(
      bench.bench,
      { case: name, unit: "MiB", better: "lower", bar },
      { ours: same(bytes), peer: same(peer) },
    );
  return [
    compared("10 versions stored", ours.compacted, BAR),
    compared("10 versions, all of them whole", ours.whole, null),
    heldAgainstLimit(
      bench.bench,
      { case: "time to read an old version, whole", unit: "s", better: "lower", limit: 120 },
      ours.readSeconds,
    ),
  ];
}

async function measureOurs(
  versions: readonly string[],
  { folder, say, signal }: BenchRun,
): Promise<{ readonly whole: number; readonly compacted: number; readonly readSeconds: number }> {
  const dir = path.join(folder, "registry");
  const registry = await openRegistry(dir);
  const images: HistoryImage[] = [];
  for (const [index, file] of versions.entries()) {
    signal.throwIfAborted();
    const manifest = await describeImage(file, index + 1);
    const digest = await push(registry, file, manifest);
    const { name, architecture, release } = manifest;
    images.push({ digest, name, architecture, release, keepWhole: index === versions.length - 1 });
    say(`ours: version ${index + 1} of ${versions.length} is in`);
  }
  const whole = await sizeOf(dir);
  const command = [
    process.execPath,
    path.join(import.meta.dirname, "..", "src", "main.ts"),
    "delta-process",
  ] as const;
  const report = await registry.compact(
    images,
    async (job, placeOf) => {
      const made = await runDeltaJob(job, { command, placeOf, onBytesDone: () => {}, signal });
      say(`ours: a delta of ${(made.sizeBytes / MEBIBYTE).toFixed(1)} MiB`);
      return made;
    },
    signal,
  );
  const compacted = await sizeOf(dir);
  say(`ours: ${report.encoded} versions are deltas, ${report.refused} were not worth it`);
  const beganAt = performance.now();
  const reader = await registry.openImage(images[0]?.digest ?? "");
  for (const index of reader?.payload.chunks.keys() ?? []) await reader?.readChunk(index);
  return { whole, compacted, readSeconds: (performance.now() - beganAt) / 1000 };
}

async function measureCasync(
  versions: readonly string[],
  { folder, say, signal }: BenchRun,
): Promise<number> {
  const { find, env } = await fetchPrograms(["casync"], LOST);
  const store = path.join(folder, "casync");
  for (const [index, file] of versions.entries()) {
    const args = [
      "make",
      `--store=${path.join(store, "store.castr")}`,
      path.join(store, `${index}.caibx`),
      file,
    ];
    await run("mkdir", ["-p", store]);
    await run(find("casync"), args, { env: { ...process.env, ...env }, signal });
    say(`casync: version ${index + 1} of ${versions.length} is in`);
  }
  return await sizeOf(store);
}

async function describeImage(file: string, release: number): Promise<Manifest> {
  const chunks: (ChunkDigest | null)[] = [];
  for await (const chunk of splitChunks(createReadStream(file, { highWaterMark: CHUNK_BYTES }))) {
    chunks.push(isZeroChunk(chunk) ? null : chunkDigest(chunk));
  }
  return {
    formatVersion: 1,
    name: "golden",
    version: `v${release}`,
    architecture: "amd64",
    createdAt: "2026-01-01T00:00:00.000Z",
    release,
    minimumRelease: 0,
    payloads: [{ name: "rootfs.img", sizeBytes: IMAGE_BYTES, chunkBytes: CHUNK_BYTES, chunks }],
    attachments: [],
    kernelArguments: [],
    healthChecks: [],
  };
}

/** As an upload does it; the signature is nobody's, and the registry has accepted it by then. */
async function push(registry: Registry, file: string, manifest: Manifest): Promise<string> {
  const [part] = manifest.payloads;
  if (part === undefined) throw new RangeError("no payload");
  const needed = new Set(part.chunks.filter(chunk => chunk !== null));
  await registry.pin(needed);
  const window = new TaskWindow(4);
  for await (const [index, bytes] of numbered(
    splitChunks(createReadStream(file, { highWaterMark: CHUNK_BYTES })),
  )) {
    if (part.chunks[index] === null || bytes.length !== chunkLength(part, index)) continue;
    await window.start(() => registry.keepChunk({ part, index, form: "plain", bytes }));
  }
  await window.finish();
  const manifestText = canonicalText(manifest);
  const signature = `${"A".repeat(86)}==`;
  await registry.publish({ manifestText, signature: { formatVersion: 1, keyId: "0".repeat(64), signature } });
  await registry.unpin(needed);
  return imageDigest(manifestText);
}

async function* numbered<T>(items: AsyncIterable<T>): AsyncGenerator<readonly [number, T], void, void> {
  let index = 0;
  for await (const item of items) yield [index++, item];
}

/** Bytes of all files below; what was rebuilt for readers can be rebuilt again. */
async function sizeOf(dir: string): Promise<number> {
  let sizeBytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.parentPath.includes("/rebuilt")) continue;
    sizeBytes += (await stat(path.join(entry.parentPath, entry.name))).size;
  }
  return sizeBytes;
}
