/** The boot process as a site runs it, in the server's namespace of a test network, with a subnet for each kind of client. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BootEvent } from "../../../../src/dhcp/boot-event.ts";
import type { Reservation, Subnet } from "../../../../src/dhcp/subnet.ts";
import type { BootSettings, DhcpMode } from "../../../../src/pxe/boot-process-messages.ts";
import { type BootProcess, startBootProcess } from "../../../../src/pxe/io/boot-process.ts";
import { LOADER_FILES, SERVED_LOADERS } from "../../../../src/pxe/loader-files.ts";
import { ipv4, subnet } from "../../helpers/boot-process.ts";
import type { TestNetwork } from "../../helpers/network.ts";

export interface BootServer extends AsyncDisposable {
  readonly boot: BootProcess;
  /** In order; the newest is the last. */
  readonly events: BootEvent[];
  /** For files of the test; gone with the server. */
  readonly folder: string;
  /** Resolves with the first event, past or to come, of which this is true. */
  untilEvent(isIt: (event: BootEvent) => boolean): Promise<BootEvent>;
}

/** No power of two, so that a transfer's last block is a short one. */
export const LOADER = Buffer.from(Array.from({ length: 50_000 }, (_, index) => (index * 7) & 255));

const MAIN = new URL("../../../../src/main.ts", import.meta.url).pathname;

export interface BootServerOptions {
  /** Has the address 10.77.0.1. */
  readonly interfaceName?: string;
  readonly mode?: DhcpMode;
  /** In 10.77.0.0/16. */
  readonly reservations?: readonly Reservation[];
}

export async function startBootServer(
  { serverNamespace }: Pick<TestNetwork, "serverNamespace">,
  { interfaceName = "lan0", mode = "server", reservations = [] }: BootServerOptions = {},
): Promise<BootServer> {
  const folder = await mkdtemp(join(tmpdir(), "drp-clients-"));
  await writeFile(join(folder, "loader"), LOADER);
  const events: BootEvent[] = [];
  const waiting = new Set<() => void>();
  const boot = await startBootProcess({
    command: ["ip", "netns", "exec", serverNamespace, process.execPath, MAIN, "boot-process"],
    config: {
      mode,
      interfaces: [{ name: interfaceName, address: ipv4("10.77.0.1") }],
      ports: { dhcp: 67, proxyDhcp: 4011, tftp: 69 },
      leaseJournal: join(folder, "leases.journal"),
      settings: settings(folder, reservations),
    },
    onEvent: (_mac, event) => {
      events.push(event);
      for (const look of waiting) look();
    },
    scriptFor: async () => "# a script\n",
    onExit: how => events.push({ kind: "exit", summary: how, facts: {} }),
  });
  const off = boot.services.find(service => service.state === "off");
  if (off?.state === "off") {
    await boot.stop();
    await rm(folder, { recursive: true });
    throw new Error(`${off.service} is off: ${off.error.message}`);
  }
  return {
    boot,
    events,
    folder,
    untilEvent: isIt =>
      new Promise(resolve => {
        const look = () => {
          const event = events.find(isIt);
          if (event === undefined) return;
          waiting.delete(look);
          resolve(event);
        };
        waiting.add(look);
        look();
      }),
    [Symbol.asyncDispose]: async () => {
      await boot.stop();
      await rm(folder, { recursive: true });
    },
  };
}

function settings(folder: string, reservations: readonly Reservation[]): BootSettings {
  return {
    subnets: [subnetWithRouter("10.77", reservations), subnetWithRouter("10.99", [])],
    classes: [],
    loader: "auto",
    bootPort: 8091,
    loaders: LOADER_FILES,
    tftpFiles: new Map(SERVED_LOADERS.map(name => [name, join(folder, "loader")])),
    bootAnswers: new Map(),
    unknown: { kind: "boot" },
  };
}

/** A subnet as others have it, with a router and a name server to be told of. @param start "10.77" */
function subnetWithRouter(start: string, reservations: readonly Reservation[]): Subnet {
  return { ...subnet(start), reservations, router: ipv4(`${start}.0.254`), dns: [ipv4(`${start}.0.253`)] };
}
