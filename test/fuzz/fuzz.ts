/**
 * Fuzzes the real boot process on real sockets, in network namespaces out of which no packet leads: what it must show is that
 * it does not end, does not grow, and goes on serving good clients.
 */
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { BootProcessConfig, DhcpMode } from "../../src/pxe/boot-process-messages.ts";
import { type BootProcess, startBootProcess } from "../../src/pxe/io/boot-process.ts";
import { ipv4, subnet } from "../pxe/helpers/boot-process.ts";
import { makeNetwork, runIn, type TestNetwork } from "../pxe/helpers/network.ts";
import type { Attack, Progress, Target } from "./attack.ts";

const run = promisify(execFile);
const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;
const ATTACK = new URL("attack.ts", import.meta.url).pathname;

export interface FuzzOptions {
  /** To each target. */
  readonly packets: number;
  readonly seed: number;
  readonly targets: readonly Target[];
  /** One line of progress, for people. */
  readonly say: (line: string) => void;
}

export interface TargetReport extends Progress {
  readonly target: Target;
  readonly seconds: number;
  /** Packets that the kernel gave to the server's sockets, those of good clients among them. */
  readonly delivered: number;
  /** Packets that it threw away as the server did not read fast enough. */
  readonly overflowed: number;
  /** Memory at the end less that after the first quarter, when what grows once has grown. */
  readonly growthMegabytes: number;
  /** The same process from the first packet to the last exchange. */
  readonly alive: boolean;
}

export const ALL_TARGETS: readonly Target[] = ["dhcp", "silent-relays", "tftp", "transfer", "proxy-dhcp"];

/** ProxyDHCP is another mode of the server. */
const MODE: Readonly<Record<Target, DhcpMode>> = {
  dhcp: "server",
  "silent-relays": "server",
  tftp: "server",
  transfer: "server",
  "proxy-dhcp": "proxy",
};
/**
 * In MB. By itself V8 raises it in steps to 32 MB three times over, whenever it sees fit, while the live heap stays at 13 MB:
 * as much as the growth that is looked for.
 */
const SMALL_YOUNG_GENERATION = "--max-semi-space-size=2";
const WARM_UP_SHARE = 0.25;

/** @throws {Error} saying which good client was not served, of which target, by which seed */
export async function fuzz(options: FuzzOptions): Promise<TargetReport[]> {
  await using network = await makeNetwork();
  await runIn(network.clientNamespace, "ip", "addr", "add", "10.77.0.66/16", "dev", "lan0");
  await runIn(network.clientNamespace, "ip", "route", "replace", "255.255.255.255", "dev", "lan0");
  const folder = await mkdtemp(join(tmpdir(), "drp-fuzz-"));
  const reports: TargetReport[] = [];
  try {
    await writeFile(join(folder, "small.bin"), randomBytes(20_000));
    await writeFile(join(folder, "large.bin"), randomBytes(150_000));
    for (const target of options.targets) {
      reports.push(await fuzzTarget(target, options, network, folder));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return reports;
}

async function fuzzTarget(
  target: Target,
  { packets, seed, say }: FuzzOptions,
  network: TestNetwork,
  folder: string,
): Promise<TargetReport> {
  const ends: string[] = [];
  const boot = await start(MODE[target], network, folder, how => ends.push(how));
  const startedAt = performance.now();
  try {
    const pid = await processIn(network.serverNamespace);
    const before = await datagramCounts(pid);
    let warm: number | undefined;
    let last: Progress = { sent: 0, exchanges: 0, retries: 0, slowestMs: 0 };
    const attack: Attack = {
      target,
      packets,
      seed,
      serverAddress: "10.77.0.1",
      goodAddress: "10.77.0.9",
      hostileAddress: "10.77.0.66",
      smallFile: join(folder, "small.bin"),
      largeFile: join(folder, "large.bin"),
      bootFile: "small.bin",
    };
    for await (const progress of runAttack(network, attack)) {
      last = progress;
      if (warm === undefined && progress.sent >= packets * WARM_UP_SHARE) warm = await residentMegabytes(pid);
    }
    const after = await datagramCounts(pid);
    const report: TargetReport = {
      ...last,
      target,
      seconds: (performance.now() - startedAt) / 1000,
      delivered: after.delivered - before.delivered,
      overflowed: after.overflowed - before.overflowed,
      growthMegabytes: (await residentMegabytes(pid)) - (warm ?? Number.NaN),
      alive: ends.length === 0 && (await processIn(network.serverNamespace)) === pid,
    };
    say(formatReport(report));
    return report;
  } catch (error) {
    const ended = ends.length === 0 ? "" : ` (the server ended: ${ends.join(", ")})`;
    throw new Error(`target ${target}, seed ${seed}${ended}`, { cause: error });
  } finally {
    await boot.stop();
  }
}

export function formatReport(report: TargetReport): string {
  const { target, sent, seconds, delivered, overflowed, exchanges, retries, slowestMs } = report;
  const { growthMegabytes, alive } = report;
  return [
    `${target}: ${sent} packets in ${seconds.toFixed(1)} s`,
    `${delivered} delivered with those of good clients, ${overflowed} lost to a full queue`,
    `${exchanges} good exchanges, ${retries} asked again, slowest answer ${slowestMs.toFixed(0)} ms`,
    `memory ${growthMegabytes >= 0 ? "+" : ""}${growthMegabytes.toFixed(1)} MB`,
    alive ? "alive" : "DEAD",
  ].join("; ");
}

async function* runAttack(network: TestNetwork, attack: Attack): AsyncGenerator<Progress> {
  const args = ["netns", "exec", network.clientNamespace, process.execPath, ATTACK, JSON.stringify(attack)];
  const child = spawn("ip", args, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit");
  const complaints: Buffer[] = [];
  child.stderr.on("data", bytes => complaints.push(bytes));
  try {
    for await (const line of createInterface(child.stdout)) yield JSON.parse(line) as Progress;
    const [code] = await exited;
    if (code !== 0) throw new Error(Buffer.concat(complaints).toString());
  } finally {
    child.kill("SIGKILL");
  }
}

async function start(
  mode: DhcpMode,
  network: TestNetwork,
  folder: string,
  onExit: (how: string) => void,
): Promise<BootProcess> {
  const program = [process.execPath, SMALL_YOUNG_GENERATION, MAIN, "boot-process"];
  const boot = await startBootProcess({
    command: ["ip", "netns", "exec", network.serverNamespace, ...program],
    config: config(mode, folder),
    onEvent: () => {},
    scriptFor: async () => "# nothing\n",
    onExit,
  });
  const off = boot.services.find(service => service.state === "off");
  if (off?.state !== "off") return boot;
  await boot.stop();
  throw new Error(`${off.service} is off: ${off.error.message}`);
}

function config(mode: DhcpMode, folder: string): BootProcessConfig {
  return {
    interfaces: [{ name: "lan0", address: ipv4("10.77.0.1") }],
    mode,
    ports: { dhcp: 67, proxyDhcp: 4011, tftp: 69 },
    leaseJournal: join(folder, `leases-${mode}.journal`),
    settings: {
      subnets: [
        // Fewer addresses than hostile machines: the pool runs dry too.
        { ...subnet("10.77"), pools: [{ first: ipv4("10.77.1.0"), last: ipv4("10.77.8.255") }] },
      ],
      classes: [],
      bootPort: 8091,
      loaders: { ipxe: { "x64-uefi": "small.bin" }, signed: {} },
      loader: "auto",
      tftpFiles: new Map(["small.bin", "large.bin"].map(name => [name, join(folder, name)])),
      bootAnswers: new Map(),
      unknown: { kind: "boot" },
    },
  };
}

async function processIn(namespace: string): Promise<number> {
  const { stdout } = await run("ip", ["netns", "pids", namespace]);
  return Number(stdout.split("\n")[0]);
}

async function residentMegabytes(pid: number): Promise<number> {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kilobytes) * 1024) / 1e6;
}

/** Of the process's namespace: "Udp: InDatagrams NoPorts …" over "Udp: 12 0 …" in /proc/PID/net/snmp. */
async function datagramCounts(pid: number): Promise<{ delivered: number; overflowed: number }> {
  const table = await readFile(`/proc/${pid}/net/snmp`, "utf8");
  const [names = [], values = []] = table
    .split("\n")
    .filter(line => line.startsWith("Udp: "))
    .map(line => line.split(" "));
  const count = (name: string) => Number(values[names.indexOf(name)]);
  return { delivered: count("InDatagrams"), overflowed: count("RcvbufErrors") };
}
