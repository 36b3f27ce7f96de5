/** A lease as the API shows it: with its subnet in words. */
import type { Lease as WireLease } from "../api/wire.ts";
import { formatIpv4 } from "../core/ipv4.ts";
import type { Lease } from "../dhcp/lease-change.ts";
import { findSubnet, type Subnet } from "../dhcp/subnet.ts";

export function leaseToWire(
  { address, client, hostname, expiresAt }: Lease,
  subnets: readonly Subnet[],
): WireLease {
  const network = findSubnet(subnets, address)?.network;
  const subnet = network === undefined ? "" : `${formatIpv4(network.network)}/${network.prefixLength}`;
  return { address: formatIpv4(address), mac: client, hostname, subnet, expiresAt };
}
