/**
 * Boot HTTP against nginx with sendfile: one 64 MB file to 1, 50 and 500 clients, over the wire between two namespaces. What
 * counts is all clients' throughput together; and that our memory does not follow their number.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  type Benchmark,
  type BenchRun,
  comparedWithPeer,
  heldAgainstLimit,
  measureInTurn,
  type Result,
} from "./benchmark.ts";
import { fetchPrograms, type Programs } from "./peers.ts";
import {
  makeWire,
  type RunningServer,
  residentMegabytes,
  runClient,
  SERVER_ADDRESS,
  startServer,
  type Wire,
} from "./wire.ts";
import { parseMegabytesPerSecond } from "./wrk.ts";

const CLIENTS = [1, 50, 500] as const;
const FILE_BYTES = 64 * 1024 * 1024;
const URL_PATH = "/ramdisk/vmlinuz";
const PORT = 8091;
const PAIRS = 3;
/** Long enough for 500 clients to be connected and at it. */
const RUN_SECONDS = 5;
const OUR_SERVER = path.join(import.meta.dirname, "boot-http-server.ts");
/**
 * Node.js and our code take 95 MB, all transfers together 32 (http-piece-size.ts), V8's young generation up to 100 under such a
 * load. A buffer of 1 MiB for each client would be 520 alone.
 */
const MEMORY_LIMIT_MEGABYTES = 300;

export const bootHttpBenchmark: Benchmark = {
  name: "boot-http",
  summary: "a 64 MB file to 1, 50 and 500 clients, against nginx with sendfile",
  run: measureBootHttp,
};

interface Bench {
  readonly run: BenchRun;
  readonly wire: Wire;
  readonly programs: Programs;
}

async function measureBootHttp(run: BenchRun): Promise<readonly Result[]> {
  const programs = await fetchPrograms(["nginx", "wrk"], "boot HTTP cannot be compared with nginx");
  await mkdir(path.join(run.folder, "ramdisk"));
  await writeFile(path.join(run.folder, URL_PATH), randomBytes(FILE_BYTES));
  await using wire = await makeWire();
  const bench = { run, wire, programs };
  const results: Result[] = [];
  const memory: number[] = [];
  for (const clients of CLIENTS) {
    const pairs = await measureInTurn(PAIRS, {
      ours: () => fetchFrom(bench, clients, startOurs, pid => keepMemory(memory, pid)),
      peer: () => fetchFrom(bench, clients, startNginx, async () => {}),
    });
    const name = `64 MB to ${clients} client${clients === 1 ? "" : "s"} vs nginx`;
    results.push(comparedWithPeer(run.bench, { case: name, unit: "MB/s", better: "higher", bar: 1 }, pairs));
    run.say(`${name}: ${pairs.ours.map(Math.round).join(", ")}; ${pairs.peer.map(Math.round).join(", ")}`);
  }
  const bound = {
    case: "most memory of ours",
    unit: "MB",
    better: "lower",
    limit: MEMORY_LIMIT_MEGABYTES,
  } as const;
  return [...results, heldAgainstLimit(run.bench, bound, Math.max(...memory))];
}

/** @param judge sees the server while its clients have just ended @returns megabytes (10^6 bytes) a second */
async function fetchFrom(
  bench: Bench,
  clients: number,
  start: (bench: Bench) => Promise<RunningServer>,
  judge: (pid: number) => Promise<void>,
): Promise<number> {
  const { run, wire, programs } = bench;
  await using server = await start(bench);
  const printed = await runClient({
    namespace: wire.client,
    program: programs.find("wrk"),
    // One thread: the other core is the server's, whichever it is. None is given up before the run ends.
    args: [
      "-t1",
      `-c${clients}`,
      `-d${RUN_SECONDS}s`,
      "--timeout",
      "60s",
      `http://${SERVER_ADDRESS}:${PORT}${URL_PATH}`,
    ],
    env: programs.env,
    signal: run.signal,
  });
  await judge(server.pid);
  return parseMegabytesPerSecond(printed);
}

async function keepMemory(memory: number[], pid: number): Promise<void> {
  memory.push(await residentMegabytes(pid));
}

async function startOurs({ run, wire }: Bench): Promise<RunningServer> {
  const args = [OUR_SERVER, String(PORT), run.folder];
  const { signal } = run;
  return await startServer({ namespace: wire.server, program: process.execPath, args, signal }, "tcp", PORT);
}

/** As Debian configures it, but for the paths: a worker for each core, sendfile and tcp_nopush on; no log, as ours has none. */
async function startNginx({ run, wire, programs }: Bench): Promise<RunningServer> {
  const prefix = path.join(run.folder, "nginx");
  await mkdir(prefix, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const file = path.join(prefix, "nginx.conf");
  await writeFile(
    file,
    `daemon off;
user root;
pid nginx.pid;
worker_processes auto;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
${temporary.map(name => `  ${name}_temp_path ${name};`).join("\n")}
  server { listen ${PORT} backlog=4096; root ${run.folder}; }
}
`,
  );
  return await startServer(
    {
      namespace: wire.server,
      program: programs.find("nginx"),
      args: ["-p", prefix, "-c", file, "-e", "stderr"],
      env: programs.env,
      signal: run.signal,
    },
    "tcp",
    PORT,
  );
}
