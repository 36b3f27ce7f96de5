/**
 * `npm run bench -- mixed`: how long DHCP's answers take while twenty machines stream an image from the same host and the fsync
 * of the hub's store is slow. The whole of `drp serve` is under test, in a namespace; machines and clients are in another one.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { chunkDigest } from "../src/images/digest.ts";
import { ChunkStore } from "../src/images/io/chunk-store.ts";
import { type Benchmark, type BenchRun, heldAgainstLimit, median, type Result } from "./benchmark.ts";
import type { DhcpLatencies } from "./dhcp-latency-client.ts";
import { fetchPrograms, type Programs } from "./peers.ts";
import { percentile } from "./percentile.ts";
import { makeWire, runClient, SERVER_ADDRESS, startServer, type Wire } from "./wire.ts";
import { parseMegabytesPerSecond } from "./wrk.ts";

const run = promisify(execFile);
const MAIN = path.join(import.meta.dirname, "..", "src", "main.ts");
const LATENCY_CLIENT = path.join(import.meta.dirname, "dhcp-latency-client.ts");

const ROUNDS = 3;
const MACHINES = 20;
/** An image's chunks are 1 MiB; random bytes do not compress. */
const CHUNKS = 64;
const CHUNK_BYTES = 1024 * 1024;
/** A rack of 40 that powers on is done in a fifth of a second at this rate. */
const EXCHANGES_PER_SECOND = 200;
const DHCP_CLIENTS = 400;
const SECONDS = 8;
/** The issue's. */
const LIMIT_MS = 50;
/** A worn flash disk's, or that of a disk which also writes images. */
const SLOW_WRITE_MS = 100;
const BOOT_PORT = 8091;
const STOP_WITHIN_MS = 10_000;

export const mixedBenchmark: Benchmark = {
  name: "mixed",
  summary: "DHCP's p99 while 20 machines stream an image and the store's fsync takes 100 ms",
  run: measureMixed,
};

interface Bench {
  readonly run: BenchRun;
  readonly wire: Wire;
  readonly programs: Programs;
}

/**
 * What becomes slow: the store's fsyncs, or the lease journal's writes, which are durable by themselves (O_DSYNC). strace
 * delays one kind of system call on the files that are named, of whichever process.
 */
const SLOW = {
  store: { calls: "fsync,fdatasync", files: ["drp.db", "drp.db-wal", "drp.db-shm", "drp.db-journal"] },
  leases: { calls: "pwrite64", files: ["site/leases.journal"] },
} as const;

type SlowDisk = keyof typeof SLOW;

interface Measured {
  readonly offerP99: number;
  readonly ackP99: number;
  readonly megabytesPerSecond: number;
}

async function measureMixed(run: BenchRun): Promise<readonly Result[]> {
  const programs = await fetchPrograms(["wrk", "strace"], "DHCP cannot be measured under load");
  await using wire = await makeWire();
  const bench = { run, wire, programs };
  const slowStore: Measured[] = [];
  const slowLeases: Measured[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    slowStore.push(await measureOnce(bench, "store"));
    slowLeases.push(await measureOnce(bench, "leases"));
  }
  const of = (rounds: readonly Measured[], key: keyof Measured) => median(rounds.map(round => round[key]));
  const p99 = (answer: string, value: number) =>
    heldAgainstLimit(
      run.bench,
      { case: `${answer} p99, slow store`, unit: "ms", better: "lower", limit: LIMIT_MS },
      value,
    );
  const told = (name: string, unit: string, value: number): Result => ({
    figure: {
      bench: run.bench,
      case: name,
      unit,
      ours: Number(value.toPrecision(4)),
      peer: null,
      ratio: null,
    },
    bar: null,
  });
  return [
    p99("OFFER", of(slowStore, "offerP99")),
    p99("ACK", of(slowStore, "ackP99")),
    told("streamed meanwhile", "MB/s", of(slowStore, "megabytesPerSecond")),
    told("OFFER p99, slow leases", "ms", of(slowLeases, "offerP99")),
    told("ACK p99, slow leases", "ms", of(slowLeases, "ackP99")),
  ];
}

async function measureOnce(bench: Bench, slow: SlowDisk): Promise<Measured> {
  const { run, wire, programs } = bench;
  const folder = await mkdtemp(path.join(run.folder, "hub-"));
  const digests = await writeChunks(path.join(folder, "data", "images", "chunks"));
  await using hub = await startHub(bench, folder, slow);
  // The first offers of an address wait for its conflict probe; a machine that came before is offered its own.
  await askForAddresses(bench, DHCP_CLIENTS / EXCHANGES_PER_SECOND);
  const script = path.join(folder, "chunks.lua");
  await writeFile(script, chunksInTurn(digests));
  const delayedBefore = await hub.delayedCalls();
  const streaming = runClient({
    namespace: wire.client,
    program: programs.find("wrk"),
    args: [
      ...["-t1", `-c${MACHINES}`, `-d${SECONDS + 1}s`, "--timeout", "60s", "-s", script],
      `http://${SERVER_ADDRESS}:${BOOT_PORT}`,
    ],
    env: programs.env,
    signal: run.signal,
  });
  const [report, { offerMs, ackMs, unanswered }] = await Promise.all([
    streaming,
    askForAddresses(bench, SECONDS),
  ]);
  const delayed = (await hub.delayedCalls()) - delayedBefore;
  if (delayed === 0) throw new Error(`nothing was slow: no write to the ${slow} meanwhile`);
  const measured = {
    offerP99: percentile(offerMs, 0.99),
    ackP99: percentile(ackMs, 0.99),
    megabytesPerSecond: parseMegabytesPerSecond(report),
  };
  run.say(
    `slow ${slow} (${delayed} writes, ${unanswered} unanswered): OFFER p50 ${percentile(offerMs, 0.5).toFixed(1)} ms, p99 ` +
      `${measured.offerP99.toFixed(1)}, max ${Math.max(...offerMs).toFixed(0)}; ACK p50 ` +
      `${percentile(ackMs, 0.5).toFixed(1)} ms, p99 ${measured.ackP99.toFixed(1)}, max ` +
      `${Math.max(...ackMs).toFixed(0)}; ${measured.megabytesPerSecond.toFixed(0)} MB/s streamed`,
  );
  return measured;
}

async function askForAddresses({ run, wire }: Bench, seconds: number): Promise<DhcpLatencies> {
  const printed = await runClient({
    namespace: wire.client,
    program: process.execPath,
    args: [LATENCY_CLIENT, SERVER_ADDRESS, ...[DHCP_CLIENTS, EXCHANGES_PER_SECOND, seconds].map(String)],
    signal: run.signal,
  });
  return JSON.parse(printed);
}

/** @returns their digests; what they hold is not looked at on the way */
async function writeChunks(folder: string): Promise<string[]> {
  const store = await ChunkStore.open(folder);
  const digests: string[] = [];
  for (let count = 0; count < CHUNKS; count++) {
    const bytes = randomBytes(CHUNK_BYTES);
    const digest = chunkDigest(bytes);
    await store.write(digest, bytes);
    digests.push(digest);
  }
  return digests;
}

/** For wrk: each request asks for the next chunk. */
function chunksInTurn(digests: readonly string[]): string {
  return `local digests = { ${digests.map(digest => `"${digest}"`).join(", ")} }
local turn = 0
request = function()
  turn = turn % #digests + 1
  return wrk.format("GET", "/chunks/" .. digests[turn])
end
`;
}

interface Hub extends AsyncDisposable {
  /** How many system calls were made slow so far. */
  readonly delayedCalls: () => Promise<number>;
}

/**
 * `drp serve`, begun by strace, which slows what is meant and lets every other kind of system call pass at full speed
 * (--seccomp-bpf).
 */
async function startHub(
  { run: { signal }, wire, programs }: Bench,
  folder: string,
  slow: SlowDisk,
): Promise<Hub> {
  const data = path.join(folder, "data");
  const config = path.join(folder, "drp.yaml");
  await writeFile(
    config,
    `data: ${data}
dhcp:
  subnets:
    - { network: 10.0.0.0/8, pools: [10.16.0.0-10.16.15.255] }
`,
  );
  const log = path.join(folder, "strace.log");
  const { calls, files } = SLOW[slow];
  const server = await startServer(
    {
      namespace: wire.server,
      program: programs.find("strace"),
      args: [
        // The tracer stands aside: signals go to drp itself.
        ...["-D", "-f", "-qq", "--seccomp-bpf", "-o", log, "-e", `trace=${calls}`],
        ...["-e", `inject=${calls}:delay_exit=${SLOW_WRITE_MS * 1000}`],
        ...files.flatMap(file => ["-P", path.join(data, file)]),
        ...[process.execPath, MAIN, "serve", "--config", config],
      ],
      env: programs.env,
      signal,
    },
    "udp",
    67,
  );
  return {
    delayedCalls: async () => (await readFile(log, "utf8")).split("(DELAYED)").length - 1,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await untilNobodyIsIn(wire.server);
    },
  };
}

/** The boot process and the tracer end after the hub has. */
async function untilNobodyIsIn(namespace: string): Promise<void> {
  const deadline = Date.now() + STOP_WITHIN_MS;
  for (;;) {
    const { stdout } = await run("ip", ["netns", "pids", namespace]);
    if (stdout.trim() === "") return;
    if (Date.now() > deadline)
      throw new Error(`still running after the hub's end: ${stdout.split("\n").join(" ")}`);
    await sleep(50);
  }
}
