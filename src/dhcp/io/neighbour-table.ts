/** Reads the kernel's neighbour table. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { formatIpv4, type Ipv4 } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import { type Neighbours, parseNeighbours } from "../neighbours.ts";

const run = promisify(execFile);
const TABLE = "/proc/net/arp";

export async function readNeighbours(): Promise<Neighbours> {
  return parseNeighbours(await readFile(TABLE, "utf8").catch(() => ""));
}

/** Whose address it is, by what the kernel knows: a machine that has just sent us a packet is in there. */
export function macOfNeighbour(address: Ipv4): MacAddress | null {
  try {
    return parseNeighbours(readFileSync(TABLE, "utf8")).get(address) ?? null;
  } catch {
    return null;
  }
}

/** So that the kernel asks anew. Needs CAP_NET_ADMIN and iproute2; without them the entry stays. */
export async function forgetNeighbour(address: Ipv4): Promise<void> {
  await run("ip", ["neigh", "flush", "to", formatIpv4(address)]).catch(() => {});
}

/** A table that is full drops packets of others: this many entries it holds (`sysctl net.ipv4.neigh.default.gc_thresh3`). */
export function neighbourTableSize(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "utf8"));
  } catch {
    return LINUX_DEFAULT_SIZE; // only the first network namespace shows it
  }
}

const LINUX_DEFAULT_SIZE = 1024;
