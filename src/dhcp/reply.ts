/** A reply's fields and options, once it is decided what to answer. */
import { type Ipv4, prefixMask, UNSPECIFIED } from "../core/ipv4.ts";
import { type DhcpOptions, ipv4Value, OPTION, type OptionEntry, textValue, uint32Value } from "./options.ts";
import { BOOT_REPLY, type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";
import { clientMaxBytes, fitOptions } from "./reply-options.ts";
import type { Subnet } from "./subnet.ts";

/**
 * Why a machine that wants to boot is given nothing. unknown-machine: by the site's policy. unknown-firmware: nobody has a
 * loader for it. no-loader: this site has none. pxe-only: there is one, and it cannot be fetched by HTTP.
 */
export type NothingToBoot = "unknown-machine" | "unknown-firmware" | "no-loader" | "pxe-only";

/** What a reply says about booting. */
export interface BootFields {
  /** File name or URL; may be longer than the message's field. Null: nothing to load. */
  readonly file: string | null;
  readonly options: DhcpOptions;
  /** Our reading of the client, for people: "iPXE", "x64-uefi PXE". */
  readonly firmware?: string;
  /** Where there is no file although the client wants one; for programs. */
  readonly nothingBecause?: NothingToBoot;
  /** One clause for people: what we took the client for and what it gets. */
  readonly reason: string;
}

export interface ReplyParts {
  /** One of MESSAGE_TYPE. */
  readonly type: number;
  /** Our identity (option 54), or what a relay wants taken for it (RFC 5107). */
  readonly serverIdentifier: Ipv4;
  /** Where to load boot files from (siaddr): firmware needs it beside option 54. */
  readonly bootServer: Ipv4;
  readonly ciaddr?: Ipv4;
  readonly yiaddr?: Ipv4;
  readonly boot?: BootFields;
  /** In the order of their worth where they do not all fit. */
  readonly options: readonly OptionEntry[];
}

export interface BuiltReply {
  readonly message: DhcpMessage;
  /** What the client can take, for `encodePacket()`. */
  readonly maxBytes: number;
}

/** The message's `file` field is preferred, because every ROM reads it. */
const FILE_FIELD_BYTES = 128;
/** RFC 2131 §4.4.5 */
const T1_SHARE = 0.5;
const T2_SHARE = 0.875;

/** @param message the client's, whose identity and relay are repeated */
export function replyTo(message: DhcpMessage, parts: ReplyParts): BuiltReply {
  const file = parts.boot?.file ?? "";
  const fitsField = file.length <= FILE_FIELD_BYTES;
  const options = new Map<number, Uint8Array>([
    [OPTION.messageType, Uint8Array.of(parts.type)],
    [OPTION.serverIdentifier, ipv4Value(parts.serverIdentifier)],
  ]);
  for (const [code, value] of parts.options) options.set(code, value);
  if (parts.boot !== undefined) for (const [code, value] of parts.boot.options) options.set(code, value);
  // Old ROMs take the end option's byte into the name, unless a NUL ends it.
  if (!fitsField) options.set(OPTION.bootFile, textValue(`${file}\0`));
  echoOptions(message, parts.type, options);
  const reply: DhcpMessage = {
    op: BOOT_REPLY,
    htype: message.htype,
    hops: 0,
    xid: message.xid,
    secs: 0,
    // Without a hardware address nobody can send the client a unicast (InfiniBand, RFC 4390 §2.2).
    broadcast: message.broadcast || message.chaddr.length === 0,
    ciaddr: parts.ciaddr ?? UNSPECIFIED,
    yiaddr: parts.yiaddr ?? UNSPECIFIED,
    siaddr: file === "" ? UNSPECIFIED : parts.bootServer,
    giaddr: message.giaddr,
    chaddr: message.chaddr,
    sname: "",
    file: fitsField ? file : "",
    options,
  };
  const maxBytes = clientMaxBytes(message.options);
  return { message: { ...reply, options: fitOptions(reply, message.options, maxBytes) }, maxBytes };
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

/**
 * 61 (RFC 6842), 97 where it is well formed (RFC 4578 §2.3), 118 where we follow it (RFC 3011 §2; client-link.ts), and last, whole, 82
 * (RFC 3046 §2.2). A NAK carries neither 97 nor 118 (RFC 2131 table 3: all others must not be there).
 */
function echoOptions(
  { options: from, giaddr }: DhcpMessage,
  type: number,
  into: Map<number, Uint8Array>,
): void {
  echo(from, OPTION.clientIdentifier, into);
  if (type !== MESSAGE_TYPE.nak) {
    const uuid = from.get(OPTION.clientUuid);
    if (uuid?.length === 17 && uuid[0] === 0) into.set(OPTION.clientUuid, uuid);
    if (giaddr !== UNSPECIFIED) echo(from, OPTION.subnetSelection, into);
  }
  echo(from, OPTION.relayAgent, into);
}

function echo(from: DhcpOptions, code: number, into: Map<number, Uint8Array>): void {
  const value = from.get(code);
  if (value !== undefined) into.set(code, value);
}
