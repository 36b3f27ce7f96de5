/**
 * `npm run bench -- tftp`: one TFTP client against our server and against tftpd-hpa, which knows block sizes but no windows.
 *
 * curl fetches in lock-step, atftp in windows: each is C, and the same program asks both servers, so that a client's cost is
 * in both figures.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { setPriority } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { type Benchmark, type BenchRun, comparedWithPeer, measureInTurn, type Result } from "./benchmark.ts";
import { startOurs } from "./ours.ts";
import { fetchPrograms, type Programs } from "./peers.ts";
import { measureLoss } from "./tftp-loss.ts";
import { makeWire, type RunningServer, runClient, SERVER_ADDRESS, startServer, type Wire } from "./wire.ts";

const runCommand = promisify(execFile);

export const tftpBenchmark: Benchmark = {
  name: "tftp",
  summary: "curl and atftp: lock-step alone and at 50 clients, windows of 16 blocks, against tftpd-hpa",
  run: measureTftp,
};

const ROUNDS = 3;
const MEGABYTE = 1_000_000;

interface Case {
  readonly name: string;
  readonly clients: number;
  readonly blockBytes: number;
  /** 1: lock-step. */
  readonly windowBlocks: number;
  /** For a second or more at every server: starting a client takes 20 ms. */
  readonly fileMegabytes: number;
  /** The issue's. */
  readonly bar: number;
}

const CASES: readonly Case[] = [
  { name: "512, alone", clients: 1, blockBytes: 512, windowBlocks: 1, fileMegabytes: 16, bar: 0.8 },
  { name: "1428, alone", clients: 1, blockBytes: 1428, windowBlocks: 1, fileMegabytes: 32, bar: 0.8 },
  { name: "512, 50 clients", clients: 50, blockBytes: 512, windowBlocks: 1, fileMegabytes: 1, bar: 0.8 },
  { name: "1428, 50 clients", clients: 50, blockBytes: 1428, windowBlocks: 1, fileMegabytes: 2, bar: 0.8 },
  {
    name: "1428, window 16 vs lock-step",
    clients: 1,
    blockBytes: 1428,
    windowBlocks: 16,
    fileMegabytes: 32,
    bar: 5,
  },
];

async function measureTftp(run: BenchRun): Promise<Result[]> {
  const programs = await fetchPrograms(["curl", "atftp", "tftpd-hpa"], "TFTP servers cannot be compared");
  const files = await writeFiles(run.folder);
  await using wire = await makeWire();
  const results: Result[] = [];
  for (const measured of CASES) {
    const megabytesPerSecond = async (server: () => Promise<RunningServer>, side: string) => {
      await using running = await server();
      if (isPinned(measured)) await pinToOneCore(running.pid);
      const fetch = new Fetch(run, wire, programs, measured);
      await fetch.check(files);
      const rate = await fetch.rate();
      run.say(`${measured.name}: ${side} ${rate.toFixed(1)} MB/s`);
      return rate;
    };
    const pairs = await measureInTurn(ROUNDS, {
      ours: () => megabytesPerSecond(() => startOurs(wire, { folder: run.folder, tftpFiles: files }), "ours"),
      peer: () => megabytesPerSecond(() => startTftpdHpa(wire, programs, run), "tftpd-hpa"),
    });
    const comparison = { case: measured.name, unit: "MB/s", better: "higher", bar: measured.bar } as const;
    results.push(comparedWithPeer(run.bench, comparison, pairs));
  }
  results.push(await measureLoss(run, programs, path.join(run.folder, fileName(1))));
  return results;
}

const CORE = "0";

/**
 * In lock-step one of the two always waits. Whether the scheduler wakes it on the same core or on the other one moves either
 * server's rate by four times (7 to 27 MB/s at block size 512), so a lone client shares a core with its server, and no
 * priority: ours would interrupt a client on that core that in the field is another machine.
 */
function isPinned({ clients, windowBlocks }: Case): boolean {
  return clients === 1 && windowBlocks === 1;
}

async function pinToOneCore(pid: number): Promise<void> {
  for (const thread of await readdir(`/proc/${pid}/task`)) setPriority(Number(thread), 0);
  await runCommand("taskset", ["--all-tasks", "--cpu-list", "--pid", CORE, String(pid)]);
}

/** Random bytes: a block in the wrong place shows. @returns TFTP name → file */
async function writeFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const { fileMegabytes } of CASES) {
    const name = fileName(fileMegabytes);
    files.set(name, path.join(folder, name));
    await writeFile(path.join(folder, name), randomBytes(fileMegabytes * MEGABYTE));
  }
  return files;
}

const fileName = (megabytes: number) => `${megabytes}-megabytes.bin`;

function startTftpdHpa(wire: Wire, programs: Programs, run: BenchRun): Promise<RunningServer> {
  const args = [
    "--foreground",
    "--address",
    `${SERVER_ADDRESS}:69`,
    "--user",
    "root",
    "--secure",
    run.folder,
  ];
  const command = { namespace: wire.server, program: programs.find("in.tftpd"), args, env: programs.env };
  return startServer({ ...command, signal: run.signal }, "udp", 69);
}

class Fetch {
  private readonly run: BenchRun;
  private readonly wire: Wire;
  private readonly programs: Programs;
  private readonly measured: Case;

  constructor(run: BenchRun, wire: Wire, programs: Programs, measured: Case) {
    this.run = run;
    this.wire = wire;
    this.programs = programs;
    this.measured = measured;
  }

  /** Byte for byte, before anything is measured; it warms the server up too. */
  async check(files: ReadonlyMap<string, string>): Promise<void> {
    const fetched = path.join(this.run.folder, "fetched");
    await this.fetch(this.client(fetched));
    const file = files.get(fileName(this.measured.fileMegabytes)) ?? "";
    if (!(await readFile(fetched)).equals(await readFile(file))) {
      throw new Error(`${this.measured.name}: what was fetched is not what is served`);
    }
  }

  /** MB/s of all clients together, from the first one's start to the last one's end. */
  async rate(): Promise<number> {
    const { clients, fileMegabytes } = this.measured;
    const client = this.client("/dev/null");
    const pinned = isPinned(this.measured) ? ["taskset", "--cpu-list", CORE] : [];
    const startedAt = performance.now();
    // xargs ends with an error when one client does.
    await this.fetch([
      "sh",
      "-c",
      `seq ${clients} | xargs -P ${clients} -I{} ${[...pinned, ...client].map(quoted).join(" ")}`,
    ]);
    return (clients * fileMegabytes * 1000) / (performance.now() - startedAt);
  }

  private client(output: string): [string, ...string[]] {
    const { blockBytes, windowBlocks, fileMegabytes } = this.measured;
    const name = fileName(fileMegabytes);
    if (windowBlocks === 1) {
      const url = `tftp://${SERVER_ADDRESS}/${name}`;
      return [this.programs.find("curl"), "-sSf", "--tftp-blksize", String(blockBytes), "-o", output, url];
    }
    const options = ["--option", `blksize ${blockBytes}`, "--option", `windowsize ${windowBlocks}`];
    return [this.programs.find("atftp"), ...options, "-g", "-r", name, "-l", output, SERVER_ADDRESS];
  }

  private async fetch([program, ...args]: [string, ...string[]]): Promise<void> {
    const { env } = this.programs;
    await runClient({ namespace: this.wire.client, program, args, env, signal: this.run.signal });
  }
}

/** For sh. */
const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
