/**
 * Which of a reply's options go out, and in which order: what the client asked for (option 55) first and in its order, and
 * what does not fit into a message that the client can take is left out.
 */
import { type DhcpOptions, OPTION, readUint16 } from "./options.ts";
import { encodedOptionBytes } from "./overload.ts";
import { type DhcpMessage, fitsMessage } from "./packet.ts";

/** Every client takes an IP datagram of 576 bytes (RFC 2131 §2). */
const LEAST_DATAGRAM_BYTES = 576;
/** One Ethernet frame: some ROMs put no fragments together, whatever they claim in option 57. */
const MOST_DATAGRAM_BYTES = 1500;
/** Option 57 counts the whole datagram, as ISC's server and client have it. */
const IP_AND_UDP_HEADER_BYTES = 28;

/**
 * Never left out: what makes it a reply of ours to this client (53, 54, 51, 56, and the echoes 61, 82, 97, 118), what any
 * host needs (1, 3), and what firmware boots by (43, 60, 67, 175).
 */
const NEVER_LEFT_OUT: ReadonlySet<number> = new Set([
  OPTION.messageType,
  OPTION.serverIdentifier,
  OPTION.leaseSeconds,
  OPTION.message,
  OPTION.subnetMask,
  OPTION.router,
  OPTION.vendorSpecific,
  OPTION.vendorClass,
  OPTION.bootFile,
  OPTION.ipxe,
  OPTION.clientIdentifier,
  OPTION.clientUuid,
  OPTION.subnetSelection,
  OPTION.relayAgent,
]);

/**
 * How many bytes of UDP payload a client takes (option 57). A relay takes option 82 away again, so that one is not counted
 * against the client.
 */
export function clientMaxBytes(asked: DhcpOptions): number {
  const claimed = readUint16(asked, OPTION.maxMessageSize) ?? LEAST_DATAGRAM_BYTES;
  const datagram = Math.min(Math.max(claimed, LEAST_DATAGRAM_BYTES), MOST_DATAGRAM_BYTES);
  const relayAgent = asked.get(OPTION.relayAgent);
  const withRelay = datagram + (relayAgent === undefined ? 0 : encodedOptionBytes(relayAgent));
  return Math.min(withRelay, MOST_DATAGRAM_BYTES) - IP_AND_UDP_HEADER_BYTES;
}

/**
 * @param reply with every option that it could carry, most needed first
 * @param asked the client's options
 * @returns in the order of the wire. What must not be left out is there even if the message then is longer than `maxBytes`
 */
export function fitOptions(reply: DhcpMessage, asked: DhcpOptions, maxBytes: number): DhcpOptions {
  const requested = asked.get(OPTION.parameterRequestList);
  const ordered = orderOptions(reply.options, requested);
  if (fitsMessage({ ...reply, options: ordered }, maxBytes)) return ordered;
  const kept = new Set([...ordered.keys()].filter(code => NEVER_LEFT_OUT.has(code)));
  for (const code of mostNeededFirst(ordered, requested)) {
    kept.add(code);
    if (!fitsMessage({ ...reply, options: onlyThese(ordered, kept) }, maxBytes)) kept.delete(code);
  }
  return onlyThese(ordered, kept);
}

function onlyThese(options: DhcpOptions, codes: ReadonlySet<number>): DhcpOptions {
  return new Map([...options].filter(([code]) => codes.has(code)));
}

/** The type first, because some ROMs look no further; option 82 last (RFC 3046 §2.1). */
function orderOptions(options: DhcpOptions, requested: Uint8Array | undefined): Map<number, Uint8Array> {
  const ordered = new Map<number, Uint8Array>();
  const take = (code: number) => {
    const value = options.get(code);
    if (value !== undefined) ordered.set(code, value);
  };
  take(OPTION.messageType);
  take(OPTION.serverIdentifier);
  take(OPTION.leaseSeconds);
  for (const code of requested ?? []) {
    // RFC 2132 §3.3: the mask before the router, whatever was asked.
    if (code === OPTION.router) take(OPTION.subnetMask);
    if (code !== OPTION.relayAgent) take(code);
  }
  for (const [code, value] of options) {
    if (code !== OPTION.relayAgent) ordered.set(code, value);
  }
  take(OPTION.relayAgent);
  return ordered;
}

/** Of those that may be left out: what was asked for, in that order, then the others. */
function mostNeededFirst(ordered: DhcpOptions, requested: Uint8Array = new Uint8Array()): number[] {
  const optional = [...ordered.keys()].filter(code => !NEVER_LEFT_OUT.has(code));
  const wanted = new Set(requested);
  return [...optional.filter(code => wanted.has(code)), ...optional.filter(code => !wanted.has(code))];
}
