/** Which wire a client is on, and so from which subnet it is answered. */
import { type Ipv4, UNSPECIFIED } from "../core/ipv4.ts";
import { OPTION, readIpv4 } from "./options.ts";
import type { DhcpMessage } from "./packet.ts";
import type { RelayAgent } from "./relay-agent.ts";
import { findSubnet, type Subnet } from "./subnet.ts";

/** How a message came: at which address of ours. */
interface Arrival {
  readonly address: Ipv4;
  readonly broadcast?: boolean;
}

/**
 * In this order: what its relay says (option 82.5; RFC 3527 §3 puts it before all others), the subnet that it asks for itself
 * (option 118, RFC 3011), its relay's address. Without a relay: the network of an address that it sends from by unicast,
 * because a renewal goes past every relay; else the wire that the message came by. A broadcast is heard on its own wire alone,
 * whatever address its sender brought from elsewhere.
 *
 * @returns an address of that wire; it may lie in no subnet of ours
 */
export function clientLink(
  message: DhcpMessage,
  relay: RelayAgent | undefined,
  receivedOn: Arrival,
  subnets: readonly Subnet[],
): Ipv4 {
  const named = relay?.linkSelection ?? readIpv4(message.options, OPTION.subnetSelection);
  if (named !== undefined) return named;
  if (message.giaddr !== UNSPECIFIED) return message.giaddr;
  const sendsFrom = receivedOn.broadcast === true ? UNSPECIFIED : message.ciaddr;
  const known = sendsFrom !== UNSPECIFIED && findSubnet(subnets, sendsFrom) !== undefined;
  return known ? sendsFrom : receivedOn.address;
}
