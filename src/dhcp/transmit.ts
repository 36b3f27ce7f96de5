/** Where a reply goes on the wire. Decides an address and a port; opens no socket. */
import { type Ipv4, LIMITED_BROADCAST, UNSPECIFIED } from "../core/ipv4.ts";
import { OPTION, readUint8 } from "./options.ts";
import { type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";

export const SERVER_PORT = 67;
export const CLIENT_PORT = 68;

export interface Destination {
  readonly address: Ipv4;
  readonly port: number;
}

/**
 * RFC 2131 §4.1. A client without an address gets a broadcast even if it could take a unicast: that needs a raw socket,
 * which Node does not have, and the RFC leaves the choice to the server.
 *
 * @param reply giaddr, ciaddr and the message type decide
 */
export function chooseDestination(reply: DhcpMessage): Destination {
  if (reply.giaddr !== UNSPECIFIED) return { address: reply.giaddr, port: SERVER_PORT };
  const isNak = readUint8(reply.options, OPTION.messageType) === MESSAGE_TYPE.nak;
  if (reply.ciaddr !== UNSPECIFIED && !isNak) return { address: reply.ciaddr, port: CLIENT_PORT };
  return { address: LIMITED_BROADCAST, port: CLIENT_PORT };
}
