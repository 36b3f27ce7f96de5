/** A reply's fields and options, once it is decided what to answer. */
import { type Ipv4, prefixMask, UNSPECIFIED } from "../core/ipv4.ts";
import { type DhcpOptions, ipv4Value, OPTION, type OptionEntry, textValue, uint32Value } from "./options.ts";
import { BOOT_REPLY, type DhcpMessage } from "./packet.ts";
import type { Subnet } from "./subnet.ts";

/** What a reply says about booting. */
export interface BootFields {
  /** File name or URL; may be longer than the message's field. Null: nothing to load. */
  readonly file: string | null;
  readonly options: DhcpOptions;
  /** One clause for people: what we took the client for and what it gets. */
  readonly reason: string;
}

export interface ReplyParts {
  readonly ciaddr?: Ipv4;
  readonly yiaddr?: Ipv4;
  readonly boot?: BootFields;
  readonly options: readonly OptionEntry[];
}

/** The message's `file` field is preferred, because every ROM reads it. */
const FILE_FIELD_BYTES = 128;
/** RFC 2131 §4.4.5 */
const T1_SHARE = 0.5;
const T2_SHARE = 0.875;

/**
 * @param serverAddress our identity (option 54), and the place to load boot files from (siaddr): firmware needs both
 * @param type one of MESSAGE_TYPE
 */
export function replyTo(
  message: DhcpMessage,
  serverAddress: Ipv4,
  type: number,
  parts: ReplyParts,
): DhcpMessage {
  const file = parts.boot?.file ?? "";
  const fitsField = file.length <= FILE_FIELD_BYTES;
  const options = new Map<number, Uint8Array>([
    [OPTION.messageType, Uint8Array.of(type)],
    [OPTION.serverIdentifier, ipv4Value(serverAddress)],
    ...parts.options,
    ...(parts.boot?.options ?? []),
    // Old ROMs take the end option's byte into the name, unless a NUL ends it.
    ...(fitsField ? [] : [[OPTION.bootFile, textValue(`${file}\0`)] as const]),
    ...echoedOptions(message),
  ]);
  return {
    op: BOOT_REPLY,
    htype: message.htype,
    hops: 0,
    xid: message.xid,
    secs: 0,
    broadcast: message.broadcast,
    ciaddr: parts.ciaddr ?? UNSPECIFIED,
    yiaddr: parts.yiaddr ?? UNSPECIFIED,
    siaddr: file === "" ? UNSPECIFIED : serverAddress,
    giaddr: message.giaddr,
    chaddr: message.chaddr,
    sname: "",
    file: fitsField ? file : "",
    options,
  };
}

export function leaseTimes(leaseSeconds: number): OptionEntry[] {
  return [
    [OPTION.leaseSeconds, uint32Value(leaseSeconds)],
    [OPTION.renewalSeconds, uint32Value(Math.floor(leaseSeconds * T1_SHARE))],
    [OPTION.rebindingSeconds, uint32Value(Math.floor(leaseSeconds * T2_SHARE))],
  ];
}

/** The mask goes before the router (RFC 2132 §3.3). */
export function networkOptions(subnet: Subnet): OptionEntry[] {
  const options: OptionEntry[] = [[OPTION.subnetMask, ipv4Value(prefixMask(subnet.network.prefixLength))]];
  if (subnet.router !== null) options.push([OPTION.router, ipv4Value(subnet.router)]);
  if (subnet.dns.length > 0) options.push([OPTION.dns, ipv4Value(...subnet.dns)]);
  return options;
}

/** 61 (RFC 6842), 97 where it is well formed (RFC 4578 §2.3), and last, whole, 82 (RFC 3046 §2.2). */
function echoedOptions(message: DhcpMessage): OptionEntry[] {
  const echoed: OptionEntry[] = [];
  const clientIdentifier = message.options.get(OPTION.clientIdentifier);
  if (clientIdentifier !== undefined) echoed.push([OPTION.clientIdentifier, clientIdentifier]);
  const uuid = message.options.get(OPTION.clientUuid);
  if (uuid?.length === 17 && uuid[0] === 0) echoed.push([OPTION.clientUuid, uuid]);
  const relayAgent = message.options.get(OPTION.relayAgent);
  if (relayAgent !== undefined) echoed.push([OPTION.relayAgent, relayAgent]);
  return echoed;
}
