/** Kea and dnsmasq as peers: the same network, pool and lease time as ours, leases in a file, everything else as they come. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { LEASE_SECONDS, POOL } from "./ours.ts";
import type { Programs } from "./peers.ts";
import { INTERFACE, type RunningServer, startServer, type Wire } from "./wire.ts";

export interface PeerOptions {
  readonly wire: Wire;
  readonly programs: Programs;
  /** Leases lie here. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/**
 * Leases are appended to a file as by default, which Kea does not fsync; its clean-up of that file is off, ours is not.
 *
 * @param severity "INFO" is Kea's default and that of Debian's configuration: three lines an exchange, which cost it a third of
 *   its speed; "WARN" is the fastest that it can be
 */
export async function startKea(
  { wire, programs, folder, signal }: PeerOptions,
  severity: "INFO" | "WARN",
): Promise<RunningServer> {
  const configuration = {
    Dhcp4: {
      "interfaces-config": { interfaces: [INTERFACE] },
      "lease-database": {
        type: "memfile",
        persist: true,
        name: path.join(folder, "kea-leases4.csv"),
        "lfc-interval": 0,
      },
      "valid-lifetime": LEASE_SECONDS,
      subnet4: [{ id: 1, subnet: "10.0.0.0/8", pools: [{ pool: `${POOL.first} - ${POOL.last}` }] }],
      loggers: [
        { name: "kea-dhcp4", severity, output_options: [{ output: path.join(folder, "kea-dhcp4.log") }] },
      ],
    },
  };
  const file = path.join(folder, "kea-dhcp4.json");
  await writeFile(file, JSON.stringify(configuration));
  const command = {
    namespace: wire.server,
    program: programs.find("kea-dhcp4"),
    args: ["-c", file],
    // Kea keeps its own process number and locks apart from the host's.
    env: { ...programs.env, KEA_PIDFILE_DIR: folder, KEA_LOCKFILE_DIR: folder },
    signal,
  };
  return await startServer(command, "udp", 67);
}

/** Told not to ping an address before it offers it: that holds up everyone for three seconds at a time. */
export async function startDnsmasq({ wire, programs, folder, signal }: PeerOptions): Promise<RunningServer> {
  const args = [
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--port=0",
    `--interface=${INTERFACE}`,
    `--dhcp-range=${POOL.first},${POOL.last},255.0.0.0,${LEASE_SECONDS}`,
    "--dhcp-lease-max=2000000",
    `--dhcp-leasefile=${path.join(folder, "dnsmasq.leases")}`,
    `--pid-file=${path.join(folder, "dnsmasq.pid")}`,
    `--log-facility=${path.join(folder, "dnsmasq.log")}`,
    "--quiet-dhcp",
    "--no-ping",
    "--user=root",
  ];
  const program = programs.find("dnsmasq");
  return await startServer({ namespace: wire.server, program, args, env: programs.env, signal }, "udp", 67);
}
