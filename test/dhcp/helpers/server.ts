/** A DHCP server of two networks, one of them behind a relay, and the messages that it is told. */
import { formatIpv4, parseIpv4, parseIpv4Network, UNSPECIFIED } from "../../../src/core/ipv4.ts";
import { type MacAddress, macFromBytes } from "../../../src/core/mac.ts";
import { type DhcpDecision, type DhcpState, decideDhcp, type ReceivedOn } from "../../../src/dhcp/decide.ts";
import { LeaseIndex } from "../../../src/dhcp/leases.ts";
import { ipv4Value, OPTION, type OptionEntry, readUint8 } from "../../../src/dhcp/options.ts";
import { type DhcpMessage, MESSAGE_TYPE } from "../../../src/dhcp/packet.ts";
import type { Subnet } from "../../../src/dhcp/subnet.ts";

export const NOW = 1_000_000;
export const SERVER = ip("10.0.0.1");
export const RECEIVED_ON: ReceivedOn = { interfaceName: "lan0", address: SERVER };
export const CLIENT = Uint8Array.of(0x52, 0x54, 0, 0, 0, 1);
export const OTHER = Uint8Array.of(0x52, 0x54, 0, 0, 0, 2);

export function ip(text: string) {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}

export function networkOf(cidr: string) {
  const network = parseIpv4Network(cidr);
  if (network === undefined) throw new Error(`not a network: ${cidr}`);
  return network;
}

/** The machine 52:54:00:00:00:N. */
export function machine(number: number): MacAddress {
  return macFromBytes(Uint8Array.of(0x52, 0x54, number >> 24, number >> 16, number >> 8, number));
}

/** 10.0.0.0/24 with the pool .10 to .20; router and name server are the server. */
export function subnet(changes: Partial<Subnet> = {}): Subnet {
  return {
    network: networkOf("10.0.0.0/24"),
    pools: [{ first: ip("10.0.0.10"), last: ip("10.0.0.20") }],
    exclusions: [],
    reservations: [],
    router: SERVER,
    dns: [SERVER],
    leaseSeconds: 3600,
    options: [],
    ...changes,
  };
}

export const RELAYED: Partial<Subnet> = {
  network: networkOf("10.9.0.0/24"),
  pools: [{ first: ip("10.9.0.10"), last: ip("10.9.0.20") }],
  router: ip("10.9.0.1"),
};

/** A server of the local network, with changes, and of one behind a relay. */
export function server(local: Partial<Subnet> = {}, changes: Partial<DhcpState> = {}): DhcpState {
  return {
    leases: new LeaseIndex([subnet(local), subnet(RELAYED)], [SERVER]),
    classes: [],
    bootFieldsFor: () => ({ file: "undionly.kpxe", options: new Map(), reason: "PXE" }),
    ...changes,
  };
}

export interface Sent extends Partial<Omit<DhcpMessage, "options">> {
  readonly options?: readonly OptionEntry[];
}

export function message(
  type: keyof typeof MESSAGE_TYPE,
  { options = [], ...fields }: Sent = {},
): DhcpMessage {
  return {
    op: 1,
    htype: 1,
    hops: 0,
    xid: 0x1234,
    secs: 4,
    broadcast: false,
    ciaddr: UNSPECIFIED,
    yiaddr: UNSPECIFIED,
    siaddr: UNSPECIFIED,
    giaddr: UNSPECIFIED,
    chaddr: CLIENT,
    sname: "",
    file: "",
    ...fields,
    options: new Map([[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[type])], ...options]),
  };
}

export const asksFor = (address: string): OptionEntry => [OPTION.requestedAddress, ipv4Value(ip(address))];
export const toServer = (address: string): OptionEntry => [OPTION.serverIdentifier, ipv4Value(ip(address))];

/** Decides and applies, as the server does. */
export function tell(
  state: DhcpState,
  sent: DhcpMessage,
  { now = NOW, broadcast }: { readonly now?: number; readonly broadcast?: boolean } = {},
): DhcpDecision {
  const receivedOn = broadcast === undefined ? RECEIVED_ON : { ...RECEIVED_ON, broadcast };
  const decision = decideDhcp(sent, receivedOn, state, now);
  if (decision.change !== null) state.leases.apply(decision.change);
  return decision;
}

/** "ack 10.0.0.10", "nak", or why there is silence. */
export function answer(decision: DhcpDecision): string {
  if (decision.kind === "silent") return decision.reason;
  const type = readUint8(decision.message.options, OPTION.messageType);
  const name = Object.entries(MESSAGE_TYPE).find(([, code]) => code === type)?.[0];
  const { yiaddr } = decision.message;
  return yiaddr === UNSPECIFIED ? `${name}` : `${name} ${formatIpv4(yiaddr)}`;
}

export function replyOf(decision: DhcpDecision): DhcpMessage {
  if (decision.kind !== "reply") throw new Error(`silent: ${decision.reason}`);
  return decision.message;
}

/** Lets a client have its address, through DISCOVER and REQUEST. */
export function leaseTo(state: DhcpState, fields: Sent = {}, options: readonly OptionEntry[] = []): string {
  const offer = replyOf(tell(state, message("discover", { ...fields, options })));
  const address = formatIpv4(offer.yiaddr);
  const taken = [asksFor(address), toServer("10.0.0.1"), ...options];
  return answer(tell(state, message("request", { ...fields, options: taken })));
}

/** A server whose client holds 10.0.0.10. */
export function serverWithLease(): DhcpState {
  const state = server();
  leaseTo(state);
  return state;
}

export function localSubnet(state: DhcpState): Subnet {
  const [local] = state.leases.subnets;
  if (local === undefined) throw new Error("no subnet");
  return local;
}
