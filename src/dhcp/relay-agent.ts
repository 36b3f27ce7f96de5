/** What a relay says in option 82 of the client that it speaks for (RFC 3046). The option itself is echoed, never rebuilt. */
import type { Ipv4 } from "../core/ipv4.ts";
import { type DhcpOptions, ipv4Of, OPTION } from "./options.ts";

export interface RelayAgent {
  /** Sub-option 1: the relay's port, VLAN or line, in the relay's own encoding. */
  readonly circuitId: Uint8Array | undefined;
  /** Sub-option 2: the relay, or the modem at the far end. */
  readonly remoteId: Uint8Array | undefined;
  /** Sub-option 5 (RFC 3527): an address of the client's network, where giaddr is not one. */
  readonly linkSelection: Ipv4 | undefined;
  /** Sub-option 11 (RFC 5107): what the client is to take for the server, so that its renewals pass the relay. */
  readonly serverOverride: Ipv4 | undefined;
}

const SUB_OPTION = { circuitId: 1, remoteId: 2, linkSelection: 5, serverOverride: 11 } as const;

/** Undefined where no relay spoke. What is malformed counts as absent: the option is a stranger's, and is echoed anyway. */
export function readRelayAgent(options: DhcpOptions): RelayAgent | undefined {
  const value = options.get(OPTION.relayAgent);
  if (value === undefined) return undefined;
  const found = new Map<number, Uint8Array>();
  for (let offset = 0; offset + 2 <= value.length; ) {
    const code = value[offset] ?? 0;
    const end = offset + 2 + (value[offset + 1] ?? 0);
    if (end > value.length) break;
    found.set(code, value.subarray(offset + 2, end));
    offset = end;
  }
  return {
    circuitId: found.get(SUB_OPTION.circuitId),
    remoteId: found.get(SUB_OPTION.remoteId),
    linkSelection: ipv4Of(found.get(SUB_OPTION.linkSelection)),
    serverOverride: ipv4Of(found.get(SUB_OPTION.serverOverride)),
  };
}
