/** From which of its states a client sends a DHCPREQUEST (RFC 2131 §4.3.2, table 4): it shows in what the message carries. */
import { type Ipv4, UNSPECIFIED } from "../core/ipv4.ts";
import { OPTION } from "./options.ts";
import type { DhcpMessage } from "./packet.ts";

/**
 * selecting: takes an offer. init-reboot: was switched off and remembers an address. renewing: asks the server that it has
 * its address from. rebinding: asks any server, because that one did not answer.
 */
export type RequestState = "selecting" | "init-reboot" | "renewing" | "rebinding";

/**
 * @param broadcast how it came; renewing and rebinding differ in nothing else (a relay only ever hears broadcasts)
 * @returns undefined where it names neither a server nor an address: no state of a client sends that
 */
export function requestStateOf(
  { options, ciaddr, giaddr }: DhcpMessage,
  broadcast: boolean,
): RequestState | undefined {
  if (options.has(OPTION.serverIdentifier)) return "selecting";
  if (ciaddr !== UNSPECIFIED) return broadcast || giaddr !== UNSPECIFIED ? "rebinding" : "renewing";
  return options.has(OPTION.requestedAddress) ? "init-reboot" : undefined;
}

/** The address that it wants: option 50, or the one that it has (some clients renew with a server identifier). */
export function wantedAddress(requested: Ipv4 | undefined, ciaddr: Ipv4): Ipv4 | undefined {
  if (requested !== undefined) return requested;
  return ciaddr === UNSPECIFIED ? undefined : ciaddr;
}
