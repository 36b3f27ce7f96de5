/** A network that we give addresses in: what it offers, and which of its addresses are free to give. */
import { broadcastAddress, type Ipv4, type Ipv4Network, networkContains } from "../core/ipv4.ts";
import type { MacAddress } from "../core/mac.ts";
import type { OptionEntry } from "./options.ts";
import { type AddressRange, subtractRanges } from "./ranges.ts";

/** By what a machine that has a reservation is known. */
export type ReservedFor =
  | { readonly kind: "mac"; readonly mac: MacAddress }
  /** Option 61, as hexadecimal. */
  | { readonly kind: "client-id"; readonly clientId: string }
  /** Option 82: sub-option 1, and 2 where it is given, as hexadecimal: whoever is plugged into that port. */
  | { readonly kind: "circuit"; readonly circuitId: string; readonly remoteId: string | null };

export interface Reservation {
  readonly client: ReservedFor;
  readonly address: Ipv4;
  /** Told to the machine as its host name; null: none. */
  readonly hostname: string | null;
  /** Of this machine alone. */
  readonly options: readonly OptionEntry[];
}

export interface Subnet {
  readonly network: Ipv4Network;
  readonly pools: readonly AddressRange[];
  readonly exclusions: readonly AddressRange[];
  readonly reservations: readonly Reservation[];
  /** Null where nothing lies beyond the network. */
  readonly router: Ipv4 | null;
  readonly dns: readonly Ipv4[];
  readonly leaseSeconds: number;
  /** Beyond mask, router and name servers. */
  readonly options: readonly OptionEntry[];
}

/**
 * The pools without what nobody may get by chance: exclusions, reserved addresses, the router, the network's first and
 * last address, and our own.
 */
export function assignableRanges(subnet: Subnet, ownAddresses: readonly Ipv4[]): AddressRange[] {
  const single = [
    ...networkEnds(subnet.network),
    ...(subnet.router === null ? [] : [subnet.router]),
    ...subnet.reservations.map(reservation => reservation.address),
    ...ownAddresses,
  ];
  const holes = [...subnet.exclusions, ...single.map(address => ({ first: address, last: address }))];
  return subtractRanges(subnet.pools, holes);
}

/** No hosts, except where a network is a point-to-point link or one address (RFC 3021). */
function networkEnds(network: Ipv4Network): Ipv4[] {
  return network.prefixLength >= 31 ? [] : [network.network, broadcastAddress(network)];
}

export function findSubnet(subnets: readonly Subnet[], address: Ipv4): Subnet | undefined {
  return subnets.find(subnet => networkContains(subnet.network, address));
}
