/**
 * What a DHCP server answers to a message (RFC 2131 §4.3), and what becomes of the lease. Silence has a reason, because
 * someone will ask why a machine did not boot. Knows no socket, no disk and nothing of boot files but where they go.
 *
 * We are authoritative for every network that is configured: a client that brings an address from elsewhere is refused (NAK)
 * at once, and need not wait for its timeouts.
 */
import { formatIpv4, type Ipv4, networkContains, UNSPECIFIED } from "../core/ipv4.ts";
import { type EpochMs, formatDuration } from "../core/time.ts";
import type { PoolFigures } from "./address-pool.ts";
import type { ClientClass } from "./client-class.ts";
import { type ClientKey, clientKeyOf } from "./client-key.ts";
import { clientLink } from "./client-link.ts";
import { configuredOptions } from "./configured-options.ts";
import { CONFLICT_RESTS_MS, type Lease, type LeaseChange } from "./lease-change.ts";
import type { LeaseIndex } from "./leases.ts";
import { OPTION, type OptionEntry, readIpv4, readText, readUint8, textValue } from "./options.ts";
import { BOOT_REQUEST, type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";
import { readRelayAgent } from "./relay-agent.ts";
import { type BootFields, leaseTimes, type NothingToBoot, networkOptions, replyTo } from "./reply.ts";
import { requestStateOf, wantedAddress } from "./request-state.ts";
import { findSubnet, type Reservation, type Subnet } from "./subnet.ts";

/** The interface that a message came in by. */
export interface ReceivedOn {
  readonly interfaceName: string;
  /** Ours on that interface: the server identifier, and the place to load boot files from. */
  readonly address: Ipv4;
  /** Whether it came as a broadcast; absent where the socket cannot tell. */
  readonly broadcast?: boolean;
}

export interface DhcpState {
  readonly leases: LeaseIndex;
  /** Where several match and give the same option, the first one's counts. */
  readonly classes: readonly ClientClass[];
  /** What a client is to boot; asked for each message, so it must be quick. */
  readonly bootFieldsFor: (message: DhcpMessage, client: ClientKey, receivedOn: ReceivedOn) => BootFields;
}

/** What concerns the site and not the client alone. */
export type SiteNotice =
  /** The client took the offer of another DHCP server. */
  | { readonly kind: "other-server"; readonly server: Ipv4 }
  | { readonly kind: "pool-empty"; readonly figures: PoolFigures };

export interface DhcpReply {
  readonly kind: "reply";
  readonly message: DhcpMessage;
  /** What the client can take: for `encodePacket()`. */
  readonly maxBytes: number;
  /** Null: nothing changes. */
  readonly change: LeaseChange | null;
  /**
   * The address that must be probed before the reply leaves, because somebody may sit on it without our knowledge. If somebody
   * does, `conflictAt()` is the change to apply, and the message is to be decided again. If nobody does, the change is to be
   * applied once more with `probed: true`, so that the client's next DISCOVER needs no probe.
   */
  readonly probe: Ipv4 | null;
  /** Our reading of the client, where its reply says what to boot. */
  readonly firmware: string | null;
  /** Why it is given nothing to boot; null where it is. */
  readonly because: NothingToBoot | null;
  readonly reason: string;
}

/** A silence that ends a boot, for programs: `reason` says it to people and may be worded anew. */
export type SilenceCause = "no-subnet" | "other-server" | "pool-empty";

export interface DhcpSilence {
  readonly kind: "silent";
  readonly change: LeaseChange | null;
  readonly notice: SiteNotice | null;
  /** Null: no boot ends by it alone. */
  readonly because: SilenceCause | null;
  readonly reason: string;
}

export type DhcpDecision = DhcpReply | DhcpSilence;

/** The client asks for what it was offered within seconds; iPXE and UEFI retry for up to a minute. */
const OFFER_HELD_MS = 60_000;
/** A host name that a client gave is shown to people and kept with each lease. */
const MAX_HOSTNAME_LENGTH = 63;

/** Everything that the answer to one message is made from. */
interface Exchange {
  readonly message: DhcpMessage;
  readonly client: ClientKey;
  readonly subnet: Subnet;
  readonly reservation: Reservation | undefined;
  /** Who we are to this client: our address, or what its relay wants taken for it (RFC 5107). */
  readonly serverIdentifier: Ipv4;
  readonly receivedOn: ReceivedOn;
  readonly state: DhcpState;
  readonly now: EpochMs;
}

/**
 * @param message as decoded; its addresses and options are a stranger's claims
 * @param receivedOn decides the subnet of a client that is on our own wire, and our identity
 * @returns the change must be applied at once, and a durable one be on disk before the reply leaves
 */
export function decideDhcp(
  message: DhcpMessage,
  receivedOn: ReceivedOn,
  state: DhcpState,
  now: EpochMs,
): DhcpDecision {
  if (message.op !== BOOT_REQUEST) return silent("not a client's message");
  const client = clientKeyOf(message);
  if (client === undefined) return silent(whyUnknownHardware(message));
  const relay = readRelayAgent(message.options);
  const link = clientLink(message, relay, receivedOn, state.leases.subnets);
  const subnet = findSubnet(state.leases.subnets, link);
  if (subnet === undefined) {
    return { ...silent(`${formatIpv4(link)} is in no subnet that is served here`), because: "no-subnet" };
  }
  const reservation = state.leases.reservationOf(subnet, client, message.options);
  const serverIdentifier = relay?.serverOverride ?? receivedOn.address;
  const exchange = {
    message,
    client,
    subnet,
    reservation,
    serverIdentifier,
    receivedOn,
    state,
    now,
  };
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

function whyUnknownHardware({ htype, chaddr }: DhcpMessage): string {
  const what = `hardware type ${htype} with ${chaddr.length} address bytes`;
  return htype === 32 && chaddr.length === 0
    ? `${what} is InfiniBand, which must name itself by option 61 (RFC 4390 §2.1)`
    : `${what} is neither Ethernet nor InfiniBand`;
}

function decideDiscover(exchange: Exchange): DhcpDecision {
  const { message, client, subnet, state, now } = exchange;
  const { leases } = state;
  const choice = leases.choose(subnet, exchange, readIpv4(message.options, OPTION.requestedAddress), now);
  if (choice.kind === "none") {
    const notice: SiteNotice = { kind: "pool-empty", figures: choice.figures };
    return { ...silent(`no address to offer: ${choice.reason}`), notice, because: notice.kind };
  }
  const { address, note } = choice;
  const record = leases.recordOf(subnet, client);
  if (record?.address === address && record.expiresAt > now) {
    return grant(exchange, MESSAGE_TYPE.offer, { address, note, change: null, probe: null });
  }
  const probe = leases.needsProbe(subnet, address, client, now) ? address : null;
  const change: LeaseChange = {
    kind: "offer",
    address,
    client,
    until: now + OFFER_HELD_MS,
    probed: probe === null,
  };
  return grant(exchange, MESSAGE_TYPE.offer, { address, note, change, probe });
}

function decideRequest(exchange: Exchange): DhcpDecision {
  const { message, receivedOn } = exchange;
  const requested = readIpv4(message.options, OPTION.requestedAddress);
  const address = wantedAddress(requested, message.ciaddr);
  switch (requestStateOf(message, receivedOn.broadcast ?? false)) {
    case "selecting":
      return decideSelecting(exchange, address);
    case "init-reboot":
      return address === undefined ? NAMES_NOTHING : decideInitReboot(exchange, address);
    case "renewing":
      return decideRenewing(exchange, "renewing");
    case "rebinding":
      return decideRenewing(exchange, "rebinding");
    case undefined:
      return NAMES_NOTHING;
  }
}

const NAMES_NOTHING = silent("its REQUEST names neither a server nor an address");

function decideSelecting(exchange: Exchange, address: Ipv4 | undefined): DhcpDecision {
  const { message, state, now, serverIdentifier, receivedOn } = exchange;
  const server = readIpv4(message.options, OPTION.serverIdentifier);
  if (server !== serverIdentifier && server !== receivedOn.address) return takenElsewhere(exchange, server);
  if (address === undefined) return silent("its REQUEST names no address (RFC 2131 table 5)");
  if (!state.leases.mayHave(exchange.subnet, address, exchange, now)) {
    return refuse(exchange, `${formatIpv4(address)} is not this client's to have`);
  }
  return lease(exchange, address);
}

function takenElsewhere({ client, subnet, state }: Exchange, server: Ipv4 | undefined): DhcpDecision {
  if (server === undefined) return silent("its server identifier is not an address");
  const offered = state.leases.offeredTo(subnet, client);
  const isOurs = state.leases.isOurs(server);
  return {
    kind: "silent",
    change: offered === undefined ? null : { kind: "withdraw", address: offered, client },
    notice: isOurs ? null : { kind: "other-server", server },
    because: isOurs ? null : "other-server",
    reason: isOurs
      ? `the client took the offer that we made as ${formatIpv4(server)}, on another interface`
      : `the client took the offer of another server, ${formatIpv4(server)}`,
  };
}

/** The client was switched off and wants the address that it remembers. RFC 2131 §4.3.2: silence where nothing is known of it. */
function decideInitReboot(exchange: Exchange, requested: Ipv4): DhcpDecision {
  const { client, state, subnet, now } = exchange;
  const { leases } = state;
  if (!networkContains(subnet.network, requested)) return refuse(exchange, wrongNetwork(requested));
  if (leases.isRevoked(subnet, requested, client)) return refuse(exchange, revoked(requested));
  const record = leases.recordOf(subnet, client);
  if (record === undefined) return silent(`nothing is known of its lease of ${formatIpv4(requested)}`);
  if (record.address !== requested || !leases.mayHave(subnet, requested, exchange, now)) {
    return refuse(exchange, `${formatIpv4(requested)} is not this client's any more`);
  }
  return lease(exchange, requested);
}

/**
 * The client keeps its address unless somebody else has it, its reservation says otherwise, or an operator took it back. A
 * lease that we forgot is trusted while the address is free. A rebinding client asks every server on its wire: an address that
 * we give to nobody may be another server's, so that one is left to it.
 */
function decideRenewing(exchange: Exchange, how: "renewing" | "rebinding"): DhcpDecision {
  const { message, client, state, subnet, now } = exchange;
  const { leases } = state;
  const address = message.ciaddr;
  if (!networkContains(subnet.network, address)) return refuse(exchange, wrongNetwork(address));
  if (leases.isRevoked(subnet, address, client)) return refuse(exchange, revoked(address));
  if (leases.mayHave(subnet, address, exchange, now)) return lease(exchange, address);
  if (how === "rebinding" && !leases.isManaged(subnet, address) && leases.holderOf(address) !== client) {
    return silent(`it rebinds ${formatIpv4(address)}, which another server may have given it`);
  }
  return refuse(exchange, `${formatIpv4(address)} is not this client's any more`);
}

function wrongNetwork(address: Ipv4): string {
  return `${formatIpv4(address)} belongs to another network than the client is on`;
}

function revoked(address: Ipv4): string {
  return `an operator took ${formatIpv4(address)} back`;
}

function decideDecline(exchange: Exchange): DhcpDecision {
  const { message, client, receivedOn, serverIdentifier, state, now } = exchange;
  const address = readIpv4(message.options, OPTION.requestedAddress);
  const server = readIpv4(message.options, OPTION.serverIdentifier);
  if (address === undefined || (server !== serverIdentifier && server !== receivedOn.address)) {
    return silent("its DECLINE is not for an address of ours");
  }
  if (state.leases.holderOf(address) !== client) {
    return silent(`it declines ${formatIpv4(address)}, which it does not hold`);
  }
  return {
    kind: "silent",
    change: { kind: "decline", at: now, address, client, until: now + CONFLICT_RESTS_MS },
    notice: null,
    because: null,
    reason: `somebody else uses ${formatIpv4(address)}: it is given to nobody for ${formatDuration(CONFLICT_RESTS_MS)}`,
  };
}

function decideRelease(exchange: Exchange): DhcpDecision {
  const { message, client, state, now } = exchange;
  const address = message.ciaddr;
  if (state.leases.liveLeaseAt(address, now)?.client !== client) {
    return silent(`it releases ${formatIpv4(address)}, which it does not hold`);
  }
  return {
    kind: "silent",
    change: { kind: "release", at: now, address, client },
    notice: null,
    because: null,
    reason: `it gave ${formatIpv4(address)} back`,
  };
}

/**
 * The client has an address from elsewhere and wants the rest (RFC 2131 §4.3.5): no lease, no times. The address must be of its
 * network: the mask and router of another one would mislead it, and a stranger could have us answer anybody.
 */
function decideInform(exchange: Exchange): DhcpDecision {
  const { message, subnet } = exchange;
  if (message.ciaddr === UNSPECIFIED) return silent("its INFORM has no address to answer to");
  if (!networkContains(subnet.network, message.ciaddr)) return silent(wrongNetwork(message.ciaddr));
  const boot = bootFields(exchange);
  return {
    kind: "reply",
    ...replyTo(message, {
      ...identity(exchange, MESSAGE_TYPE.ack),
      ciaddr: message.ciaddr,
      options: subnetOptions(exchange),
      boot,
    }),
    change: null,
    probe: null,
    firmware: boot.firmware ?? null,
    because: boot.nothingBecause ?? null,
    reason: `told what it asked for; ${boot.reason}`,
  };
}

function lease(exchange: Exchange, address: Ipv4): DhcpDecision {
  const { message, client, reservation, subnet, now } = exchange;
  const ownName = readText(message.options, OPTION.hostname)?.slice(0, MAX_HOSTNAME_LENGTH);
  const hostname = reservation?.hostname ?? ownName ?? null;
  const granted: Lease = { address, client, hostname, expiresAt: now + subnet.leaseSeconds * 1000 };
  return grant(exchange, MESSAGE_TYPE.ack, {
    address,
    note: "",
    change: { kind: "lease", at: now, lease: granted },
    probe: null,
  });
}

interface Grant {
  readonly address: Ipv4;
  /** Why it is not the reserved address; else empty. */
  readonly note: string;
  readonly change: LeaseChange | null;
  readonly probe: Ipv4 | null;
}

function grant(exchange: Exchange, type: number, { address, note, change, probe }: Grant): DhcpDecision {
  const { message, subnet } = exchange;
  const boot = bootFields(exchange);
  const given = `${formatIpv4(address)} for ${formatDuration(subnet.leaseSeconds * 1000)}`;
  return {
    kind: "reply",
    ...replyTo(message, {
      ...identity(exchange, type),
      ciaddr: type === MESSAGE_TYPE.ack ? message.ciaddr : UNSPECIFIED,
      yiaddr: address,
      options: [...leaseTimes(subnet.leaseSeconds), ...subnetOptions(exchange)],
      boot,
    }),
    change,
    probe,
    firmware: boot.firmware ?? null,
    because: boot.nothingBecause ?? null,
    reason: `${given}; ${note === "" ? "" : `${note}; `}${boot.reason}`,
  };
}

/** DHCPNAK: nothing but who says it and why. A relay must broadcast it (RFC 2131 §4.3.2). */
function refuse(exchange: Exchange, reason: string): DhcpDecision {
  const built = replyTo(exchange.message, {
    ...identity(exchange, MESSAGE_TYPE.nak),
    options: [[OPTION.message, textValue(reason)]],
  });
  const { broadcast, giaddr } = built.message;
  return {
    kind: "reply",
    message: { ...built.message, broadcast: broadcast || giaddr !== UNSPECIFIED },
    maxBytes: built.maxBytes,
    change: null,
    probe: null,
    firmware: null,
    because: null,
    reason: `refused: ${reason}`,
  };
}

function identity({ serverIdentifier, receivedOn }: Exchange, type: number) {
  return { type, serverIdentifier, bootServer: receivedOn.address };
}

function subnetOptions({ subnet, reservation, client, message, state }: Exchange): OptionEntry[] {
  return [
    ...networkOptions(subnet),
    ...configuredOptions(subnet, state.classes, reservation, client, message.options),
  ];
}

function bootFields({ state, message, client, receivedOn }: Exchange): BootFields {
  return state.bootFieldsFor(message, client, receivedOn);
}

function silent(reason: string): DhcpSilence {
  return { kind: "silent", change: null, notice: null, because: null, reason };
}
