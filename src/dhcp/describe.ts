/** A DHCP decision as a line of the machine's timeline, and of the site's. */
import { formatIpv4, UNSPECIFIED } from "../core/ipv4.ts";
import { type EpochMs, formatDuration } from "../core/time.ts";
import type { PoolFigures } from "./address-pool.ts";
import type { BootEvent } from "./boot-event.ts";
import type { DhcpDecision, ReceivedOn } from "./decide.ts";
import type { DurableChange } from "./lease-change.ts";
import { OPTION, readText, readUint8, readUint16, textUntilNul } from "./options.ts";
import { type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";
import { readRelayAgent } from "./relay-agent.ts";
import { requestStateOf } from "./request-state.ts";

type Facts = Record<string, string | number | boolean>;

const TYPE_NAMES = new Map<number, string>(Object.entries(MESSAGE_TYPE).map(([name, type]) => [type, name]));
/** Text of a stranger that is kept and shown. */
const MAX_TEXT_LENGTH = 128;

/** The kind of `describeDecision()`, which costs a hundredth of it. */
export function eventKindOf(decision: DhcpDecision): string {
  return `dhcp.${decision.kind === "reply" ? typeName(decision.message) : "silent"}`;
}

/**
 * "dhcp.offer", "dhcp.ack", "dhcp.nak" or "dhcp.silent", with what the client said of itself, and `because` where it has no
 * answer or nothing to boot.
 *
 * @param probed what came of the probe before an offer, where there was one: "nobody there after 0.3 s"
 */
export function describeDecision(
  message: DhcpMessage,
  receivedOn: ReceivedOn,
  decision: DhcpDecision,
  probed?: string,
): BootEvent {
  const asked = typeName(message);
  return {
    kind: eventKindOf(decision),
    summary: `${asked.toUpperCase()}: ${decision.reason}`,
    facts: {
      asked,
      ...requestFacts(message, receivedOn),
      ...clientFacts(message),
      ...(decision.kind === "reply" ? replyFacts(decision.message, decision.firmware) : {}),
      ...(decision.because === null ? {} : { because: decision.because }),
      ...(probed === undefined ? {} : { probed }),
    },
  };
}

/** "dhcp.pool-empty": a subnet has nothing left to give. @param receivedOn where the one that asked in vain is */
export function describePoolEmpty(figures: PoolFigures, receivedOn: ReceivedOn, now: EpochMs): BootEvent {
  const { network, size, leased, offered, resting, nextFreeAt } = figures;
  return {
    kind: "dhcp.pool-empty",
    summary: `${network} has no address left: ${leased} of ${size} leased, ${offered} offered, ${resting} resting. Make its pools larger, or its leases shorter`,
    facts: {
      interface: receivedOn.interfaceName,
      network,
      size,
      leased,
      offered,
      resting,
      ...(nextFreeAt === null ? {} : { nextFreeIn: formatDuration(nextFreeAt - now) }),
    },
  };
}

/** "dhcp.conflict": somebody uses an address that we were about to give, or gave. @param foundBy "probe", "the client's DECLINE" */
export function describeConflict(
  change: DurableChange & { readonly kind: "conflict" | "decline" },
  receivedOn: ReceivedOn,
  foundBy: string,
): BootEvent {
  const address = formatIpv4(change.address);
  const rests = change.at === null ? "" : ` for ${formatDuration(change.until - change.at)}`;
  return {
    kind: "dhcp.conflict",
    summary: `somebody uses ${address} without a lease (${foundBy}): it is given to nobody${rests}. Find that machine, or exclude the address`,
    facts: { address, interface: receivedOn.interfaceName, foundBy },
  };
}

function typeName(message: DhcpMessage): string {
  return TYPE_NAMES.get(readUint8(message.options, OPTION.messageType) ?? 0) ?? "bootp";
}

function requestFacts(message: DhcpMessage, receivedOn: ReceivedOn): Facts {
  const isRequest = readUint8(message.options, OPTION.messageType) === MESSAGE_TYPE.request;
  const state = isRequest ? requestStateOf(message, receivedOn.broadcast ?? false) : undefined;
  return {
    ...(state === undefined ? {} : { state }),
    xid: message.xid.toString(16).padStart(8, "0"),
    interface: receivedOn.interfaceName,
    secs: message.secs,
  };
}

function replyFacts(reply: DhcpMessage, firmware: string | null): Facts {
  const file = reply.file === "" ? readText(reply.options, OPTION.bootFile) : reply.file;
  return {
    ...(reply.yiaddr === UNSPECIFIED ? {} : { address: formatIpv4(reply.yiaddr) }),
    ...(file === undefined || file === "" ? {} : { file }),
    ...(firmware === null ? {} : { firmware }),
  };
}

function clientFacts({ options, giaddr }: DhcpMessage): Facts {
  const facts: Facts = {};
  const architecture = readUint16(options, OPTION.clientArchitecture);
  if (architecture !== undefined) facts.architecture = architecture;
  const vendorClass = readText(options, OPTION.vendorClass);
  if (vendorClass !== undefined) facts.vendorClass = vendorClass.slice(0, MAX_TEXT_LENGTH);
  const userClass = options.get(OPTION.userClass);
  if (userClass !== undefined) facts.userClass = textOrHex(userClass);
  const uuid = options.get(OPTION.clientUuid);
  if (uuid?.length === 17) facts.uuid = formatUuid(uuid.subarray(1));
  if (giaddr !== UNSPECIFIED) facts.relay = formatIpv4(giaddr);
  const circuit = readRelayAgent(options)?.circuitId;
  if (circuit !== undefined) facts.circuit = textOrHex(circuit);
  return facts;
}

/** Bytes of 16, as firmware and dmidecode show them: the first three groups are little-endian (SMBIOS 2.6). */
function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(
    [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(index => bytes[index] ?? 0),
  );
  return hex.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Relays write text or numbers: what is not printable is shown as hexadecimal. */
function textOrHex(value: Uint8Array): string {
  const bytes = Buffer.from(value.subarray(0, MAX_TEXT_LENGTH));
  const text = textUntilNul(bytes);
  return /^[\x20-\x7e]+$/.test(text) ? text : bytes.toString("hex");
}
