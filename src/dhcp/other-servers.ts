/**
 * Other DHCP servers on our wires: what gives one away, when it is worth a line, and what a person should do about it. Two
 * servers that do not know of each other give one address to two machines. Knows no socket.
 */
import { formatIpv4, type Ipv4, UNSPECIFIED } from "../core/ipv4.ts";
import type { MacAddress } from "../core/mac.ts";
import type { EpochMs } from "../core/time.ts";
import type { BootEvent } from "./boot-event.ts";
import { OPTION, readIpv4 } from "./options.ts";
import type { DhcpMessage } from "./packet.ts";

export interface Sighting {
  readonly server: Ipv4;
  /** Null: it is behind a relay, or was only named. */
  readonly mac: MacAddress | null;
  readonly interfaceName: string;
  /** One clause for people. */
  readonly how: string;
}

/** Each server is told of this often while it goes on. */
const TOLD_EVERY_MS = 3_600_000;
/** Named as long as the search, which comes every ten minutes, may have missed it twice. */
const FORGOTTEN_AFTER_MS = 1_800_000;
/** A stranger who makes servers up fills no memory. */
const MAX_SERVERS = 64;

/**
 * Who answered, by a message that a server sent: to a client, or to our own search.
 *
 * @param sender of the datagram: a server that names itself nowhere is known by it
 * @returns undefined for ourselves
 */
export function serverOf(
  message: DhcpMessage,
  sender: Ipv4 | undefined,
  ownAddresses: readonly Ipv4[],
): Ipv4 | undefined {
  const server = readIpv4(message.options, OPTION.serverIdentifier) ?? sender;
  if (server === undefined || server === UNSPECIFIED || ownAddresses.includes(server)) return undefined;
  return server;
}

export class OtherServers {
  private readonly seen = new Map<Ipv4, { sighting: Sighting; at: EpochMs; toldAt: EpochMs }>();

  knows(server: Ipv4): boolean {
    return this.seen.has(server);
  }

  /** @returns the event, where it is time for one */
  note(sighting: Sighting, now: EpochMs): BootEvent | undefined {
    const known = this.seen.get(sighting.server);
    const mac = sighting.mac ?? known?.sighting.mac ?? null;
    const isDue = known === undefined || now - known.toldAt >= TOLD_EVERY_MS || now < known.toldAt;
    if (known === undefined && this.seen.size >= MAX_SERVERS) return undefined;
    this.seen.set(sighting.server, {
      sighting: { ...sighting, mac },
      at: now,
      toldAt: isDue ? now : known.toldAt,
    });
    if (!isDue) return undefined;
    const { server, interfaceName, how } = sighting;
    return {
      kind: "dhcp.other-server",
      summary: `second DHCP server ${describe({ ...sighting, mac })}: ${how}`,
      facts: {
        server: formatIpv4(server),
        interface: interfaceName,
        how,
        ...(mac === null ? {} : { serverMac: mac }),
      },
    };
  }

  /** Lines for the service's state: who was heard of late, and what to do. */
  notes(now: EpochMs): string[] {
    for (const [server, { at }] of this.seen) {
      if (now - at >= FORGOTTEN_AFTER_MS) this.seen.delete(server);
    }
    return [...this.seen.values()].map(
      ({ sighting }) =>
        `second DHCP server ${describe(sighting)}: switch one of the two off, or give each addresses of its own; ` +
        "where the other is to give the addresses, set dhcp.mode to proxy",
    );
  }
}

function describe({ server, mac, interfaceName }: Sighting): string {
  return `${formatIpv4(server)}${mac === null ? "" : ` (${mac})`} on ${interfaceName}`;
}
