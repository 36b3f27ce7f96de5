/** Bytes from one version of an image to the next, and what making and applying them takes: our deltas, zstd's patches, casync. */
import { execFile } from "node:child_process";
import { mkdir, readdir, rm, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { buildExecutable } from "../scripts/build-executable.ts";
import type { DeltaImage, MadeDelta } from "../src/images/delta/process-messages.ts";
import { runDeltaJob } from "../src/images/io/delta-process.ts";
import {
  type Benchmark,
  type BenchRun,
  comparedWithPeer,
  heldAgainstLimit,
  measureInTurn,
  type Result,
} from "./benchmark.ts";
import { debianImages } from "./debian-images.ts";
import { layChunks } from "./lay-chunks.ts";
import { fetchPrograms, type Programs } from "./peers.ts";

const run = promisify(execFile);
const LOST = "there is nobody to compare deltas with";
const MEGABYTE = 1e6;
const ROUNDS = 3;
/** "at most 1.1 × the bytes of `zstd --patch-from`", "at most 0.4 × casync's": of the peer's bytes in ours. */
const BARS = { patch: 0.909, casync: 2.5 };
const MEMORY_LIMIT_MB = 128;
const CASYNC_CHUNKS = { "64 KB": 65_536, "16 KB": 16_384 };

export const deltaBenchmark: Benchmark = {
  name: "delta",
  summary: "bytes from v1 to v2 of a Debian image: our delta, zstd --patch-from, casync",
  run: measureDelta,
};

async function measureDelta(bench: BenchRun): Promise<readonly Result[]> {
  const { folder, say } = bench;
  const { v1, v2 } = await debianImages(bench);
  const tools = await fetchPrograms(["casync", "zstd", "squashfs-tools"], LOST);
  say("building the executable: its delta process is what is measured");
  const program = path.join(folder, "drp");
  await buildExecutable(program);
  const pair = await layPair(v1, v2, folder);

  const made: MadeDelta[] = [];
  const patchBytes: number[] = [];
  const seconds = await measureInTurn(ROUNDS, {
    ours: () => timed(async () => made.push(await makeDelta(program, pair, folder, bench))),
    peer: () => timed(async () => patchBytes.push(await makePatch(tools, v1, v2, bench))),
  });
  const bytes = made.map(({ sizeBytes }) => sizeBytes);
  const results = [
    sizes(bench, "v1 → v2 vs zstd --patch-from", BARS.patch, bytes, patchBytes),
    comparedWithPeer(
      bench.bench,
      { case: "time to make it", unit: "s", better: "lower", bar: null },
      seconds,
    ),
  ];
  for (const [name, chunkBytes] of Object.entries(CASYNC_CHUNKS)) {
    const peer = await measureCasync(tools, v1, v2, chunkBytes, bench);
    const bar = chunkBytes === CASYNC_CHUNKS["64 KB"] ? BARS.casync : null;
    results.push(sizes(bench, `v1 → v2 vs casync, ${name}`, bar, bytes, [peer]));
  }
  results.push(
    memory(bench, "memory to make it", Math.max(...made.map(({ peakMemoryBytes }) => peakMemoryBytes))),
    memory(bench, "memory to apply it", await measureDecoder(pair, folder, bench)),
    await measureSquashfs(tools, program, v1, v2, bench),
  );
  return results;
}

interface Pair {
  readonly from: DeltaImage;
  readonly to: DeltaImage;
}

async function layPair(v1: string, v2: string, folder: string): Promise<Pair> {
  const lay = async (file: string, digit: string): Promise<DeltaImage> => ({
    digest: `sha256:${digit.repeat(64)}`,
    payload: await layChunks(file, folder),
  });
  return { from: await lay(v1, "1"), to: await lay(v2, "2") };
}

/** As the hub does it; it lies in the folder then. */
async function makeDelta(
  program: string,
  { from, to }: Pair,
  folder: string,
  { signal }: BenchRun,
): Promise<MadeDelta> {
  return await runDeltaJob(
    { from, to, path: path.join(folder, "our.delta") },
    {
      command: [program, "delta-process"],
      placeOf: async ({ image, index }) => ({
        kind: "file",
        path: path.join(folder, "chunks", (image === "from" ? from : to).payload.chunks[index] ?? ""),
      }),
      onBytesDone: () => {},
      signal,
    },
  );
}

async function makePatch(
  tools: Programs,
  v1: string,
  v2: string,
  { folder, signal }: BenchRun,
): Promise<number> {
  const patch = path.join(folder, "v2.zst");
  await run(tools.find("zstd"), ["-q", "-f", `--patch-from=${v1}`, v2, "-o", patch], {
    env: tools.env,
    signal,
  });
  return (await stat(patch)).size;
}

/** The index of v2 and the chunks that v1's store does not have. */
async function measureCasync(
  tools: Programs,
  v1: string,
  v2: string,
  chunkBytes: number,
  { folder, say, signal }: BenchRun,
): Promise<number> {
  const store = path.join(folder, `casync-${chunkBytes}`);
  const make = async (image: string, index: string): Promise<void> => {
    const args = ["make", `--store=${store}`, `--chunk-size=${chunkBytes}`, path.join(folder, index), image];
    await run(tools.find("casync"), args, { env: tools.env, signal });
  };
  await make(v1, "v1.caibx");
  const before = await folderBytes(store);
  await make(v2, "v2.caibx");
  const added = (await folderBytes(store)) - before + (await stat(path.join(folder, "v2.caibx"))).size;
  say(`casync with chunks of ${chunkBytes} bytes adds ${(added / MEGABYTE).toFixed(1)} MB`);
  await rm(store, { recursive: true });
  return added;
}

/** @returns bytes, resident, of a process that does nothing else */
async function measureDecoder({ from, to }: Pair, folder: string, { signal }: BenchRun): Promise<number> {
  const decoder = path.join(import.meta.dirname, "delta-decoder.ts");
  const child = run(process.execPath, [decoder, folder], {
    signal,
    env: { ...process.env, MALLOC_ARENA_MAX: "1" },
  });
  child.child.stdin?.end(JSON.stringify({ from, to }));
  const { stdout } = await child;
  return Number(stdout);
}

/** The same trees as squashfs, where one changed file moves all that is behind it: the hub ships the smaller of both. */
async function measureSquashfs(
  tools: Programs,
  program: string,
  v1: string,
  v2: string,
  bench: BenchRun,
): Promise<Result> {
  const folder = path.join(bench.folder, "squashfs");
  await mkdir(folder);
  const pack = async (image: string, name: string): Promise<string> => {
    const tree = path.join(folder, name);
    await mkdir(tree);
    await run("/usr/sbin/debugfs", ["-R", `rdump / ${tree}`, image], { signal: bench.signal });
    const out = `${tree}.squashfs`;
    const options = ["-no-progress", "-mkfs-time", "0", "-comp", "zstd"];
    await run(tools.find("mksquashfs"), [tree, out, ...options], { env: tools.env, signal: bench.signal });
    await rm(tree, { recursive: true });
    await truncate(out, Math.ceil((await stat(out)).size / 4096) * 4096);
    return out;
  };
  const pair = await layPair(await pack(v1, "v1"), await pack(v2, "v2"), folder);
  const { sizeBytes, wholeBytes } = await makeDelta(program, pair, folder, bench);
  return sizes(bench, "squashfs: delta vs its chunks", null, [sizeBytes], [wholeBytes]);
}

function sizes(
  { bench }: BenchRun,
  name: string,
  bar: number | null,
  ours: readonly number[],
  peer: readonly number[],
): Result {
  const megabytes = (values: readonly number[]) => values.map(value => value / MEGABYTE);
  const comparison = { case: name, unit: "MB", better: "lower", bar } as const;
  return comparedWithPeer(bench, comparison, { ours: megabytes(ours), peer: megabytes(peer) });
}

function memory({ bench }: BenchRun, name: string, bytes: number): Result {
  const bound = { case: name, unit: "MB", better: "lower", limit: MEMORY_LIMIT_MB } as const;
  return heldAgainstLimit(bench, bound, bytes / MEGABYTE);
}

async function timed(task: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await task();
  return (performance.now() - startedAt) / 1000;
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(path.join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
