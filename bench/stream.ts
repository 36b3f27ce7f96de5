/**
 * An image of 1 GiB from boot HTTP to a disk, against `curl | zstd -d | dd oflag=direct`. Both fetch from our boot HTTP server,
 * both end with every byte on the disk, and both begin with the start of their processes.
 */
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import {
  type Benchmark,
  type BenchRun,
  comparedWithPeer,
  heldAgainstLimit,
  measureInTurn,
  median,
  type Pairs,
  type Result,
} from "./benchmark.ts";
import { bundleScript } from "./bundle-script.ts";
import { debianImages, IMAGE_BYTES, incompressibleImage } from "./debian-images.ts";
import { layChunks } from "./lay-chunks.ts";
import { fetchPrograms, type Programs } from "./peers.ts";
import type { StreamOutcome } from "./stream-ours.ts";
import { makeWire, runClient, SERVER_ADDRESS, startServer, type Wire } from "./wire.ts";

const PORT = 8091;
const PAIRS = 5;
const OUR_SERVER = path.join(import.meta.dirname, "boot-http-server.ts");
/** Of the agent in the ramdisk, where there is no swap and everything else is in memory too. */
const MEMORY_LIMIT_MEGABYTES = 150;

export const streamBenchmark: Benchmark = {
  name: "stream",
  summary: "1 GiB from boot HTTP to the disk, against curl | zstd -d | dd oflag=direct",
  run: measureStream,
};

interface Bench {
  readonly run: BenchRun;
  readonly wire: Wire;
  readonly programs: Programs;
  /** stream-ours.ts in one file, as the agent's executable is. */
  readonly client: string;
}

/** An image as both find it on the server. */
interface Served {
  readonly name: "golden" | "random";
  /** Raw, to compare with. */
  readonly file: string;
}

async function measureStream(run: BenchRun): Promise<readonly Result[]> {
  const programs = await fetchPrograms(
    ["curl", "zstd"],
    "streaming cannot be compared with curl | zstd | dd",
  );
  const golden: Served = { name: "golden", file: (await debianImages(run)).v1 };
  const random: Served = { name: "random", file: await incompressibleImage() };
  for (const image of [golden, random]) await serve(image, run, programs);
  const client = await bundleScript("stream-ours.ts", run.folder);
  await using wire = await makeWire();
  const bench = { run, wire, programs, client };
  const args = [OUR_SERVER, String(PORT), run.folder];
  const { signal } = run;
  await using _server = await startServer(
    { namespace: wire.server, program: process.execPath, args, signal },
    "tcp",
    PORT,
  );
  for (const image of [golden, random]) await requireEqual(bench, image);

  const goldenSeconds = await measurePair(bench, golden);
  const randomSeconds = await measurePair(bench, random);
  return [
    comparedWithPeer(run.bench, seconds("golden image to the disk", 4), goldenSeconds),
    comparedWithPeer(run.bench, seconds("incompressible image to the disk", 1.3), randomSeconds),
    await measureOldDisk(bench, golden),
    await measureShareOfDd(bench, randomSeconds.ours),
    ...(await measureWholeAgent(bench, golden, random)),
  ];
}

const seconds = (name: string, bar: number | null) =>
  ({ case: name, unit: "s", better: "lower", bar }) as const;

async function measurePair(bench: Bench, image: Served): Promise<Pairs<number>> {
  const startMs: number[] = [];
  const pairs = await measureInTurn(PAIRS, {
    ours: () =>
      timedAnew(bench, async () => {
        startMs.push((await install(bench, image, "zeroed")).startMs);
      }),
    peer: () => timedAnew(bench, () => pipeToDisk(bench, image)),
  });
  const told = (values: readonly number[]) => values.map(value => value.toFixed(2)).join(", ");
  bench.run.say(`${image.name}: ours ${told(pairs.ours)} s, curl | zstd | dd ${told(pairs.peer)} s`);
  bench.run.say(`${image.name}: until our first request ${Math.round(median(startMs))} ms, in that time`);
  return pairs;
}

/** A disk full of something else, on which zeros must be made: the peer writes them all, we read before we write. */
async function measureOldDisk(bench: Bench, image: Served): Promise<Result> {
  const random = await incompressibleImage();
  const refill = async () => {
    await promisify(execFile)("cp", ["--sparse=never", random, diskOf(bench)]);
    await settle(bench);
  };
  const pairs = await measureInTurn(3, {
    ours: async () => {
      await refill();
      return await timed(() => install(bench, image, "foreign"));
    },
    peer: async () => {
      await refill();
      return await timed(() => pipeToDisk(bench, image));
    },
  });
  return comparedWithPeer(bench.run.bench, seconds("golden image over a full disk", null), pairs);
}

/** What the disk takes when the bytes are in memory already. */
async function measureShareOfDd(bench: Bench, oursSeconds: readonly number[]): Promise<Result> {
  const random = await incompressibleImage();
  const ddSeconds: number[] = [];
  for (let round = 0; round < PAIRS; round++) {
    ddSeconds.push(
      await timedAnew(bench, () => shell(bench, `dd if=${random} of=${diskOf(bench)} ${DD_OPTIONS}`)),
    );
  }
  const rate = (values: readonly number[]) => values.map(value => IMAGE_BYTES / 1e6 / value);
  return comparedWithPeer(
    bench.run.bench,
    { case: "share of dd's speed from memory", unit: "MB/s", better: "higher", bar: null },
    { ours: rate(oursSeconds), peer: rate(ddSeconds) },
  );
}

/** With read-back, and everything in memory that the ramdisk's agent has there. */
async function measureWholeAgent(bench: Bench, ...images: Served[]): Promise<Result[]> {
  const peakMegabytes: number[] = [];
  const results: Result[] = [];
  for (const image of images) {
    const pairs = await measureInTurn(3, {
      ours: async () => {
        await rm(diskOf(bench), { force: true });
        const { verifyMs, peakBytes } = await install(bench, image, "zeroed", "agent");
        peakMegabytes.push(peakBytes / 1e6);
        return verifyMs / 1000;
      },
      peer: async () => {
        await rm(diskOf(bench), { force: true });
        await install(bench, image, "zeroed");
        return await timed(() => shell(bench, `dd if=${diskOf(bench)} bs=1M iflag=direct | sha256sum`));
      },
    });
    await rm(diskOf(bench));
    const name = `${image.name} read back and compared, vs dd | sha256sum`;
    results.push(comparedWithPeer(bench.run.bench, seconds(name, null), pairs));
  }
  const bound = {
    case: "most memory of ours",
    unit: "MB",
    better: "lower",
    limit: MEMORY_LIMIT_MEGABYTES,
  } as const;
  return [...results, heldAgainstLimit(bench.run.bench, bound, Math.max(...peakMegabytes))];
}

async function serve({ name, file }: Served, { folder, say }: BenchRun, programs: Programs): Promise<void> {
  say(`${name}: chunks, and a file by zstd -3`);
  await writeFile(path.join(folder, `${name}.json`), JSON.stringify(await layChunks(file, folder)));
  const env = { ...process.env, ...programs.env };
  const out = path.join(folder, `${name}.zst`);
  await promisify(execFile)(programs.find("zstd"), ["-q", "-3", file, "-o", out], { env });
}

async function requireEqual(bench: Bench, image: Served): Promise<void> {
  for (const write of [() => install(bench, image, "zeroed"), () => pipeToDisk(bench, image)]) {
    await write();
    await promisify(execFile)("cmp", [diskOf(bench), image.file]);
    await rm(diskOf(bench));
  }
}

async function install(
  { run, wire, client }: Bench,
  image: Served,
  past: "zeroed" | "foreign",
  ...whole: "agent"[]
): Promise<StreamOutcome> {
  const disk = path.join(run.folder, "disk");
  const url = `http://${SERVER_ADDRESS}:${PORT}`;
  const args = [client, url, path.join(run.folder, `${image.name}.json`), disk, past, ...whole];
  const { signal } = run;
  const printed = await runClient({ namespace: wire.client, program: process.execPath, args, signal });
  return JSON.parse(printed) as StreamOutcome;
}

const DD_OPTIONS = "bs=1M iflag=fullblock oflag=direct conv=fsync,notrunc status=none";

async function pipeToDisk(bench: Bench, { name }: Served): Promise<void> {
  const [curl, zstd] = [bench.programs.find("curl"), bench.programs.find("zstd")];
  const disk = diskOf(bench);
  const url = `http://${SERVER_ADDRESS}:${PORT}/${name}.zst`;
  await shell(bench, `${curl} -sSf ${url} | ${zstd} -dc | dd of=${disk} ${DD_OPTIONS}`);
}

async function shell({ run, wire, programs }: Bench, script: string): Promise<void> {
  const { signal } = run;
  const args = ["-o", "pipefail", "-ec", script];
  await runClient({ namespace: wire.client, program: "bash", args, env: programs.env, signal });
}

function diskOf({ run }: Bench): string {
  return path.join(run.folder, "disk");
}

/** @returns seconds, for a disk that is a new file; nothing of an earlier run is left to write when it begins */
async function timedAnew(bench: Bench, action: () => Promise<unknown>): Promise<number> {
  await rm(diskOf(bench), { force: true });
  await settle(bench);
  return await timed(action);
}

async function settle({ run }: Bench): Promise<void> {
  await promisify(execFile)("sync", ["-f", run.folder]);
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return (performance.now() - begun) / 1000;
}
