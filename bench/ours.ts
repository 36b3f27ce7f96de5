/** Our side of a benchmark: the boot process as `drp serve` starts it, in the server's namespace, with its defaults. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { type Ipv4, parseIpv4, parseIpv4Network } from "../src/core/ipv4.ts";
import { startBootProcess } from "../src/pxe/io/boot-process.ts";
import { INTERFACE, type RunningServer, SERVER_ADDRESS, type Wire } from "./wire.ts";

const run = promisify(execFile);
const MAIN = path.join(import.meta.dirname, "..", "src", "main.ts");

/** A million addresses: no run of a benchmark comes to its end. */
export const POOL = { first: "10.16.0.0", last: "10.31.255.255" } as const;
export const LEASE_SECONDS = 3600;

export interface OurOptions {
  /** The lease journal lies here. */
  readonly folder: string;
  /** TFTP name → file. */
  readonly tftpFiles?: ReadonlyMap<string, string>;
}

/** @throws {Error} when one of its services is off */
export async function startOurs(
  wire: Wire,
  { folder, tftpFiles = new Map() }: OurOptions,
): Promise<RunningServer> {
  const boot = await startBootProcess({
    command: ["ip", "netns", "exec", wire.server, process.execPath, MAIN, "boot-process"],
    config: {
      mode: "server",
      interfaces: [{ name: INTERFACE, address: address(SERVER_ADDRESS) }],
      ports: { dhcp: 67, proxyDhcp: 4011, tftp: 69 },
      leaseJournal: path.join(folder, "leases.journal"),
      settings: {
        subnets: [
          {
            network: parseIpv4Network("10.0.0.0/8") ?? raise("10.0.0.0/8 is no network"),
            pools: [{ first: address(POOL.first), last: address(POOL.last) }],
            exclusions: [],
            reservations: [],
            router: null,
            dns: [],
            leaseSeconds: LEASE_SECONDS,
            options: [],
          },
        ],
        classes: [],
        bootPort: 8091,
        loaders: { ipxe: {}, signed: {} },
        loader: "auto",
        tftpFiles,
        bootAnswers: new Map(),
        unknown: { kind: "boot" },
      },
    },
    // `drp serve` stores events; that costs its own process, not this one.
    onEvent: () => {},
    scriptFor: async () => "",
    onExit: how => console.error(`bench: our boot process ended: ${how}`),
  });
  try {
    const off = boot.services.find(service => service.state === "off");
    if (off?.state === "off") throw new Error(`our ${off.service} is off: ${off.error.message}`);
    return { pid: await onlyProcessIn(wire.server), [Symbol.asyncDispose]: () => boot.stop() };
  } catch (error) {
    await boot.stop();
    throw error;
  }
}

async function onlyProcessIn(namespace: string): Promise<number> {
  const { stdout } = await run("ip", ["netns", "pids", namespace]);
  const pids = stdout.split("\n").filter(Boolean).map(Number);
  const [pid, ...others] = pids;
  if (pid === undefined || others.length > 0)
    throw new Error(`processes in ${namespace}: ${pids.join(", ")}`);
  return pid;
}

function address(text: string): Ipv4 {
  return parseIpv4(text) ?? raise(`${text} is no address`);
}

function raise(message: string): never {
  throw new Error(message);
}
