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
 * In this order, where a relay speaks for it: what that one says (option 82.5; RFC 3527 §3 puts it before all others), the
 * subnet that is asked for (option 118, RFC 3011), the relay's address. On our own wire neither option counts: they are for who
 * asks on behalf of others, and any client could use up the addresses of any network by them. Without a relay: the network of an address that it sends from by unicast,
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
  const { giaddr, options } = message;
  if (giaddr !== UNSPECIFIED) {
    return relay?.linkSelection ?? readIpv4(options, OPTION.subnetSelection) ?? giaddr;
  }
  const sendsFrom = receivedOn.broadcast === true ? UNSPECIFIED : message.ciaddr;
  const known = sendsFrom !== UNSPECIFIED && findSubnet(subnets, sendsFrom) !== undefined;
  return known ? sendsFrom : receivedOn.address;
}
