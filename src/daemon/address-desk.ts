/** What the API says of the local site's addresses: the boot process' answers and the settings, in words. */
import type { Site } from "../agent/site/io/start-site.ts";
import type { AddressDesk } from "../api/deps.ts";
import type {
  Lease as WireLease,
  Reservation as WireReservation,
  Subnet as WireSubnet,
} from "../api/wire.ts";
import { formatIpv4, formatIpv4Network, type Ipv4 } from "../core/ipv4.ts";
import type { Lease } from "../dhcp/lease-change.ts";
import { assignableRanges, findSubnet, type Subnet } from "../dhcp/subnet.ts";
import { formatRange, formatReservedFor } from "./show-settings.ts";

/** @param ownAddresses of this host: never given to anyone */
export function createAddressDesk(
  ask: Site["askBootProcess"],
  subnets: readonly Subnet[],
  ownAddresses: readonly Ipv4[],
): AddressDesk {
  const liveLeases = () => ask("list-leases", null);
  return {
    leases: async () => (await liveLeases()).map(lease => leaseToWire(lease, subnets)),
    history: async query =>
      (await ask("lease-history", query)).map(({ address, client, ...entry }) => ({
        ...entry,
        address: formatIpv4(address),
        mac: client,
      })),
    release: async address => {
      const lease = await ask("release-lease", { address });
      return lease === null ? undefined : leaseToWire(lease, subnets);
    },
    subnets: async () => {
      const leases = await liveLeases();
      return subnets.map(subnet => subnetToWire(subnet, leases, ownAddresses));
    },
    reservations: async () => {
      const leased = new Set((await liveLeases()).map(({ address }) => address));
      return subnets.flatMap(subnet => reservationsToWire(subnet, leased));
    },
  };
}

function leaseToWire({ address, client, hostname, expiresAt }: Lease, subnets: readonly Subnet[]): WireLease {
  const network = findSubnet(subnets, address)?.network;
  const subnet = network === undefined ? "" : formatIpv4Network(network);
  return { address: formatIpv4(address), mac: client, hostname, subnet, expiresAt };
}

function subnetToWire(subnet: Subnet, leases: readonly Lease[], ownAddresses: readonly Ipv4[]): WireSubnet {
  const ranges = assignableRanges(subnet, ownAddresses);
  const size = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const leased = leases.filter(({ address }) =>
    ranges.some(({ first, last }) => first <= address && address <= last),
  ).length;
  return {
    network: formatIpv4Network(subnet.network),
    pools: subnet.pools.map(formatRange),
    router: subnet.router === null ? null : formatIpv4(subnet.router),
    leaseSeconds: subnet.leaseSeconds,
    size,
    leased,
    free: size - leased,
    reservations: subnet.reservations.length,
  };
}

function reservationsToWire(subnet: Subnet, leased: ReadonlySet<Ipv4>): WireReservation[] {
  return subnet.reservations.map(({ address, client, hostname }) => ({
    address: formatIpv4(address),
    subnet: formatIpv4Network(subnet.network),
    for: formatReservedFor(client),
    hostname,
    leased: leased.has(address),
  }));
}
