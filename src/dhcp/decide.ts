/**
 * What a DHCP server answers to a message (RFC 2131 §4.3), and what becomes of the lease. Silence has a reason, because
 * someone will ask why a machine did not boot. Knows no socket, no disk and nothing of boot files but where they go.
 */
import { formatIpv4, type Ipv4, networkContains, UNSPECIFIED } from "../core/ipv4.ts";
import { type EpochMs, formatDuration } from "../core/time.ts";
import { type ClientKey, clientKeyOf } from "./client-key.ts";
import type { Lease, LeaseChange, LeaseIndex } from "./leases.ts";
import { OPTION, readIpv4, readText, readUint8, textValue } from "./options.ts";
import { BOOT_REQUEST, type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";
import { type BootFields, leaseTimes, networkOptions, replyTo } from "./reply.ts";
import { findSubnet, type Subnet } from "./subnet.ts";

/** The interface that a message came in by. */
export interface ReceivedOn {
  readonly interfaceName: string;
  /** Ours on that interface: the server identifier, and the place to load boot files from. */
  readonly address: Ipv4;
}

export interface DhcpState {
  readonly leases: LeaseIndex;
  /** What a client is to boot; asked for each message, so it must be quick. */
  readonly bootFieldsFor: (message: DhcpMessage, client: ClientKey, receivedOn: ReceivedOn) => BootFields;
}

export type DhcpDecision =
  | {
      readonly kind: "reply";
      readonly message: DhcpMessage;
      /** Null: nothing changes. */
      readonly change: LeaseChange | null;
      readonly reason: string;
    }
  | { readonly kind: "silent"; readonly change: LeaseChange | null; readonly reason: string };

/** The client asks for what it was offered within seconds; iPXE and UEFI retry for up to a minute. */
const OFFER_HELD_MS = 60_000;
/** Somebody else uses the address; an operator should find out, and a busy pool should get it back. */
const DECLINED_RESTS_MS = 600_000;
/** A host name that a client gave is shown to people and kept with each lease. */
const MAX_HOSTNAME_LENGTH = 63;

/** Everything that the answer to one message is made from. */
interface Exchange {
  readonly message: DhcpMessage;
  readonly client: ClientKey;
  readonly subnet: Subnet;
  readonly receivedOn: ReceivedOn;
  readonly state: DhcpState;
  readonly now: EpochMs;
}

/**
 * @param message as decoded; its addresses and options are a stranger's claims
 * @param receivedOn decides the subnet of a client that is on our own wire, and our identity
 * @returns the change must be applied at once, and a lease be durable before its reply leaves
 */
export function decideDhcp(
  message: DhcpMessage,
  receivedOn: ReceivedOn,
  state: DhcpState,
  now: EpochMs,
): DhcpDecision {
  if (message.op !== BOOT_REQUEST) return silent("not a client's message");
  const client = clientKeyOf(message);
  if (client === undefined) {
    return silent(
      `hardware type ${message.htype} with ${message.chaddr.length} address bytes is neither Ethernet nor InfiniBand`,
    );
  }
  const link = linkAddress(message, receivedOn, state);
  const subnet = findSubnet(state.leases.subnets, link);
  if (subnet === undefined) return silent(`${formatIpv4(link)} is in no subnet that is served here`);
  const exchange: Exchange = { message, client, subnet, receivedOn, state, now };
  switch (readUint8(message.options, OPTION.messageType)) {
    case MESSAGE_TYPE.discover:
      return decideDiscover(exchange);
    case MESSAGE_TYPE.request:
      return decideRequest(exchange);
    case MESSAGE_TYPE.decline:
      return decideDecline(exchange);
    case MESSAGE_TYPE.release:
      return decideRelease(exchange);
    case MESSAGE_TYPE.inform:
      return decideInform(exchange);
    case undefined:
      return silent("it has no message type: plain BOOTP is not served");
    default:
      return silent("not a client's message type");
  }
}

/** The wire that the client is on: its relay's, its own address's (a renewal passes the relay by), or ours. */
function linkAddress(message: DhcpMessage, receivedOn: ReceivedOn, state: DhcpState): Ipv4 {
  if (message.giaddr !== UNSPECIFIED) return message.giaddr;
  const known =
    message.ciaddr !== UNSPECIFIED && findSubnet(state.leases.subnets, message.ciaddr) !== undefined;
  return known ? message.ciaddr : receivedOn.address;
}

function decideDiscover(exchange: Exchange): DhcpDecision {
  const { message, client, subnet, state, now } = exchange;
  const choice = state.leases.choose(subnet, client, readIpv4(message.options, OPTION.requestedAddress), now);
  if (choice.kind === "none") return silent(`no address to offer: ${choice.reason}`);
  const { address } = choice;
  const record = state.leases.recordOf(subnet, client);
  const holdsLease = record?.address === address && record.expiresAt > now;
  const change: LeaseChange | null = holdsLease
    ? null
    : { kind: "offer", address, client, until: now + OFFER_HELD_MS };
  return grant(exchange, MESSAGE_TYPE.offer, address, change);
}

/** RFC 2131 §4.3.2 tells the client's four states apart by what the message carries. */
function decideRequest(exchange: Exchange): DhcpDecision {
  const { message } = exchange;
  const server = readIpv4(message.options, OPTION.serverIdentifier);
  const requested = readIpv4(message.options, OPTION.requestedAddress);
  if (server !== undefined) return decideSelecting(exchange, server, requested);
  if (message.ciaddr !== UNSPECIFIED) return decideRenewing(exchange);
  if (requested !== undefined) return decideInitReboot(exchange, requested);
  return silent("its REQUEST names neither a server nor an address");
}

function decideSelecting(exchange: Exchange, server: Ipv4, requested: Ipv4 | undefined): DhcpDecision {
  const { client, receivedOn, state, subnet, now } = exchange;
  if (server !== receivedOn.address) {
    const offered = state.leases.offeredTo(subnet, client);
    const change: LeaseChange | null =
      offered === undefined ? null : { kind: "release", address: offered, client };
    return {
      kind: "silent",
      change,
      reason: `the client took the offer of another server, ${formatIpv4(server)}`,
    };
  }
  if (requested === undefined) return silent("its REQUEST names no address (RFC 2131 table 5)");
  if (!state.leases.mayHave(subnet, requested, client, now)) {
    return refuse(exchange, `${formatIpv4(requested)} is not this client's to have`);
  }
  return lease(exchange, requested);
}

/** The client was switched off and wants the address that it remembers. */
function decideInitReboot(exchange: Exchange, requested: Ipv4): DhcpDecision {
  const { client, state, subnet, now } = exchange;
  if (!networkContains(subnet.network, requested)) {
    return refuse(exchange, `${formatIpv4(requested)} belongs to another network than the client is on`);
  }
  const record = state.leases.recordOf(subnet, client);
  if (record === undefined) return silent(`nothing is known of its lease of ${formatIpv4(requested)}`);
  if (record.address !== requested || !state.leases.mayHave(subnet, requested, client, now)) {
    return refuse(exchange, `${formatIpv4(requested)} is not this client's any more`);
  }
  return lease(exchange, requested);
}

/**
 * Renewing and rebinding differ in how they are sent, not in what is right: the client keeps its address unless somebody
 * else has it. A lease that we forgot is trusted (RFC 2131 §4.3.2) while the address is free.
 */
function decideRenewing(exchange: Exchange): DhcpDecision {
  const { message, client, state, subnet, now } = exchange;
  if (!networkContains(subnet.network, message.ciaddr)) {
    return refuse(exchange, `${formatIpv4(message.ciaddr)} belongs to another network than the client is on`);
  }
  if (!state.leases.mayHave(subnet, message.ciaddr, client, now)) {
    return refuse(exchange, `${formatIpv4(message.ciaddr)} is not this client's any more`);
  }
  return lease(exchange, message.ciaddr);
}

function decideDecline(exchange: Exchange): DhcpDecision {
  const { message, client, receivedOn, state, now } = exchange;
  const address = readIpv4(message.options, OPTION.requestedAddress);
  if (readIpv4(message.options, OPTION.serverIdentifier) !== receivedOn.address || address === undefined) {
    return silent("its DECLINE is not for an address of ours");
  }
  if (state.leases.holderOf(address) !== client) {
    return silent(`it declines ${formatIpv4(address)}, which it does not hold`);
  }
  return {
    kind: "silent",
    change: { kind: "decline", address, client, until: now + DECLINED_RESTS_MS },
    reason: `somebody else uses ${formatIpv4(address)}: it is given to nobody for ten minutes`,
  };
}

function decideRelease(exchange: Exchange): DhcpDecision {
  const { message, client, state } = exchange;
  const address = message.ciaddr;
  if (state.leases.holderOf(address) !== client) {
    return silent(`it releases ${formatIpv4(address)}, which it does not hold`);
  }
  return {
    kind: "silent",
    change: { kind: "release", address, client },
    reason: `it gave ${formatIpv4(address)} back`,
  };
}

/** The client has an address from elsewhere and wants the rest (RFC 2131 §4.3.5): no lease, no times. */
function decideInform(exchange: Exchange): DhcpDecision {
  const { message } = exchange;
  if (message.ciaddr === UNSPECIFIED) return silent("its INFORM has no address to answer to");
  const boot = bootFields(exchange);
  return {
    kind: "reply",
    message: replyTo(message, exchange.receivedOn.address, MESSAGE_TYPE.ack, {
      ciaddr: message.ciaddr,
      options: networkOptions(exchange.subnet),
      boot,
    }),
    change: null,
    reason: `told what it asked for; ${boot.reason}`,
  };
}

function lease(exchange: Exchange, address: Ipv4): DhcpDecision {
  const { message, client, subnet, now } = exchange;
  const hostname = readText(message.options, OPTION.hostname)?.slice(0, MAX_HOSTNAME_LENGTH) ?? null;
  const granted: Lease = { address, client, hostname, expiresAt: now + subnet.leaseSeconds * 1000 };
  return grant(exchange, MESSAGE_TYPE.ack, address, { kind: "lease", lease: granted });
}

function grant(exchange: Exchange, type: number, address: Ipv4, change: LeaseChange | null): DhcpDecision {
  const { message, subnet } = exchange;
  const boot = bootFields(exchange);
  return {
    kind: "reply",
    message: replyTo(message, exchange.receivedOn.address, type, {
      ciaddr: type === MESSAGE_TYPE.ack ? message.ciaddr : UNSPECIFIED,
      yiaddr: address,
      options: [...leaseTimes(subnet.leaseSeconds), ...networkOptions(subnet)],
      boot,
    }),
    change,
    reason: `${formatIpv4(address)} for ${formatDuration(subnet.leaseSeconds * 1000)}; ${boot.reason}`,
  };
}

/** DHCPNAK: nothing but who says it and why. A relay must broadcast it (RFC 2131 §4.3.2). */
function refuse(exchange: Exchange, reason: string): DhcpDecision {
  const { message, receivedOn } = exchange;
  const nak = replyTo(message, receivedOn.address, MESSAGE_TYPE.nak, {
    options: [[OPTION.message, textValue(reason)]],
  });
  return {
    kind: "reply",
    message: { ...nak, broadcast: nak.broadcast || nak.giaddr !== UNSPECIFIED },
    change: null,
    reason: `refused: ${reason}`,
  };
}

function bootFields({ state, message, client, receivedOn }: Exchange): BootFields {
  return state.bootFieldsFor(message, client, receivedOn);
}

function silent(reason: string): DhcpDecision {
  return { kind: "silent", change: null, reason };
}
