/** What a lease is keyed on: the same for the firmware, iPXE and the operating system of one machine. */
import { type MacAddress, macFromBytes } from "../core/mac.ts";
import { OPTION } from "./options.ts";
import type { DhcpMessage } from "./packet.ts";

/**
 * The Ethernet address; for hardware whose address does not fit into chaddr (InfiniBand: htype 32, hlen 0, RFC 4390 §2.1)
 * "id:" and the client identifier (option 61) in hexadecimal.
 */
export type ClientKey = MacAddress | `id:${string}`;

const ETHERNET = 1;
const INFINIBAND = 32;

/** Undefined for hardware that nothing here can boot, and for InfiniBand without the identifier that RFC 4390 demands. */
export function clientKeyOf({ htype, chaddr, options }: DhcpMessage): ClientKey | undefined {
  if (htype === ETHERNET && chaddr.length === 6) return macFromBytes(chaddr);
  const identifier = options.get(OPTION.clientIdentifier);
  if (htype !== INFINIBAND || chaddr.length !== 0 || identifier === undefined || identifier.length < 2)
    return;
  return `id:${Buffer.from(identifier).toString("hex")}`;
}

export function isMac(client: ClientKey): client is MacAddress {
  return !client.startsWith("id:");
}

/** The hardware address of a client that has one; null for none and for no client. */
export function macOfClient(client: ClientKey | undefined): MacAddress | null {
  return client !== undefined && isMac(client) ? client : null;
}
