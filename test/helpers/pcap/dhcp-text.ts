/**
 * A DHCP message as lines for people: the message itself, then an option a line, by name, with what its bytes mean. Fields
 * that a clock decides (secs) are left out: a golden must not depend on how busy the machine was.
 */
import { formatIpv4, type Ipv4, UNSPECIFIED } from "../../../src/core/ipv4.ts";
import { type DhcpMessage, decodePacket } from "../../../src/dhcp/packet.ts";
import type { Names } from "./names.ts";

type Show = (value: Uint8Array, names: Names) => string;

const MESSAGE_TYPES = ["", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"];
const MESSAGE_TYPE = 53;
const OVERLOAD = 52;

/** @param bytes of one UDP payload @throws {DecodeError} */
export function dhcpLines(bytes: Uint8Array, names: Names): string[] {
  const message = decodePacket(bytes);
  const options = [...message.options].filter(([code]) => code !== MESSAGE_TYPE);
  const overload = overloaded(bytes);
  return [
    heading(message, names),
    ...(overload === undefined ? [] : [`  52 overload: ${overload}`]),
    ...options.map(([code, value]) => `  ${optionText(code, value, names)}`),
  ];
}

function heading(message: DhcpMessage, names: Names): string {
  const type = message.options.get(MESSAGE_TYPE)?.[0] ?? 0;
  const address = (name: string, value: Ipv4) =>
    value === UNSPECIFIED ? [] : [`${name}=${formatIpv4(value)}`];
  return [
    MESSAGE_TYPES[type] || (type === 0 ? `BOOTP ${message.op === 1 ? "request" : "reply"}` : `TYPE ${type}`),
    names.of("xid", String(message.xid)),
    hardware(message, names),
    ...(message.broadcast ? ["broadcast"] : []),
    ...(message.hops === 0 ? [] : [`hops=${message.hops}`]),
    ...address("ciaddr", message.ciaddr),
    ...address("yiaddr", message.yiaddr),
    ...address("siaddr", message.siaddr),
    ...address("giaddr", message.giaddr),
    ...(message.sname === "" ? [] : [`sname=${message.sname}`]),
    ...(message.file === "" ? [] : [`file=${names.nameMacs(message.file)}`]),
  ].join(" ");
}

const ETHERNET = 1;

function hardware({ htype, chaddr }: DhcpMessage, names: Names): string {
  if (htype === ETHERNET && chaddr.length === 6) return names.of("client", hex(chaddr));
  return `htype=${htype} chaddr=${chaddr.length === 0 ? "none" : hex(chaddr)}`;
}

/** RFC 2132 §9.3, as it was sent: the decoder has joined the parts. */
function overloaded(bytes: Uint8Array): string | undefined {
  const OPTIONS_OFFSET = 240;
  for (let offset = OPTIONS_OFFSET; offset + 1 < bytes.length && bytes[offset] !== 255; ) {
    if (bytes[offset] === OVERLOAD)
      return ["none", "file", "sname", "file and sname"][bytes[offset + 2] ?? 0];
    offset += bytes[offset] === 0 ? 1 : 2 + (bytes[offset + 1] ?? 0);
  }
  return undefined;
}

function optionText(code: number, value: Uint8Array, names: Names): string {
  const [name, show] = OPTIONS.get(code) ?? [undefined, hexText];
  const title = name === undefined ? `${code}` : `${code} ${name}`;
  return value.length === 0 ? `${title}: empty` : `${title}: ${show(value, names)}`;
}

const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");
const hexText: Show = value => `hex ${hex(value)}`;
const uint: Show = value => (value.length <= 6 ? String(Number(`0x${hex(value)}`)) : `hex ${hex(value)}`);

/** Printable text as it is; what else is in it as \x00, so that a NUL at the end is seen. */
const text: Show = (value, names) => {
  const shown = [...value]
    .map(byte =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
    )
    .join("");
  return names.nameMacs(nameVersions(shown));
};

/** "udhcp 1.35.0" and the like: a new version of a client changes nothing that we answer. */
function nameVersions(shown: string): string {
  return shown.replace(/\b(udhcp|dhcpcd)[ -]\d[\w.]*/, "$1 VERSION");
}

const addresses: Show = value => {
  if (value.length % 4 !== 0) return `hex ${hex(value)}`;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return Array.from({ length: value.length / 4 }, (_, index) =>
    formatIpv4(view.getUint32(index * 4) as Ipv4),
  ).join(", ");
};

const codes: Show = value => [...value].join(" ");

/** Type and value (RFC 2132 §9.14), or 255, IAID and DUID (RFC 4361 §6.1). */
const clientIdentifier: Show = (value, names) => {
  if (value[0] === ETHERNET && value.length === 7)
    return `Ethernet ${names.of("client", hex(value.subarray(1)))}`;
  if (value[0] === 255 && value.length > 7) {
    const iaid = names.of("iaid", hex(value.subarray(1, 5)));
    return `${iaid} ${names.of("duid", hex(value.subarray(5)))} of type ${(value[5] ?? 0) * 256 + (value[6] ?? 0)}`;
  }
  return `type ${value[0]} hex ${hex(value.subarray(1))}`;
};

/** RFC 4578 §2.3: type 0, then the GUID. */
const uuid: Show = (value, names) => `type ${value[0]} ${names.of("uuid", hex(value.subarray(1)))}`;

/** RFC 4578 §2.2: type 1, then UNDI's version. */
const networkInterface: Show = value => `type ${value[0]} version ${value[1]}.${value[2]}`;

const architectures: Show = value =>
  Array.from({ length: Math.floor(value.length / 2) }, (_, index) =>
    String((value[index * 2] ?? 0) * 256 + (value[index * 2 + 1] ?? 0)),
  ).join(", ");

/** RFC 3004's entries with a length each; a bare string, as iPXE sends it, where the lengths lead nowhere. */
const userClass: Show = (value, names) => {
  const entries: string[] = [];
  let offset = 0;
  while (offset < value.length) {
    const length = value[offset] ?? 0;
    if (length === 0 || offset + 1 + length > value.length) return `bare ${text(value, names)}`;
    entries.push(text(value.subarray(offset + 1, offset + 1 + length), names));
    offset += 1 + length;
  }
  return `entries ${entries.join(", ")}`;
};

/** Sub-options of 43, 82 and 175, each by name where it has one. A bad length ends in hexadecimal. */
function subOptions(named: ReadonlyMap<number, readonly [name: string, show: Show]>): Show {
  return (value, names) => {
    const shown: string[] = [];
    for (let offset = 0; offset < value.length; ) {
      const code = value[offset] ?? 0;
      if (code === 0 || code === 255) {
        offset++;
        continue;
      }
      const length = value[offset + 1];
      if (length === undefined || offset + 2 + length > value.length) return `hex ${hex(value)}`;
      const [name, show] = named.get(code) ?? [undefined, hexText];
      const inner = value.subarray(offset + 2, offset + 2 + length);
      shown.push(
        `${code}${name === undefined ? "" : ` ${name}`} = ${length === 0 ? "empty" : show(inner, names)}`,
      );
      offset += 2 + length;
    }
    return `[${shown.join("; ")}]`;
  };
}

/** RFC 3046, RFC 3527, RFC 5010, RFC 5107. */
const RELAY_AGENT = subOptions(
  new Map<number, readonly [string, Show]>([
    [1, ["circuit id", text]],
    [2, ["remote id", text]],
    [5, ["link selection", addresses]],
    [6, ["subscriber id", text]],
    [10, ["relay agent flags", hexText]],
    [11, ["server identifier override", addresses]],
    [12, ["relay agent identifier", hexText]],
  ]),
);

/** Intel's PXE specification 2.1, table 2-1. */
const PXE_VENDOR = subOptions(
  new Map<number, readonly [string, Show]>([
    [6, ["discovery control", uint]],
    [7, ["discovery multicast address", addresses]],
    [8, ["boot servers", hexText]],
    [9, ["boot menu", hexText]],
    [10, ["menu prompt", hexText]],
    [71, ["boot item", hexText]],
  ]),
);

/** https://ipxe.org/cfg: iPXE's encapsulated options; most say "this feature is built in". */
const IPXE = subOptions(
  new Map<number, readonly [string, Show]>(
    [
      ...[
        [1, "priority"],
        [8, "keep-san"],
        [9, "skip-san-boot"],
        [16, "pxe"],
        [17, "iscsi"],
        [18, "aoe"],
        [19, "http"],
      ],
      ...[
        [20, "https"],
        [21, "tftp"],
        [22, "ftp"],
        [23, "dns"],
        [24, "bzimage"],
        [25, "multiboot"],
        [26, "slam"],
      ],
      ...[
        [27, "srp"],
        [32, "nbi"],
        [33, "pxe image"],
        [34, "elf"],
        [35, "comboot"],
        [36, "efi"],
        [37, "fcoe"],
      ],
      ...[
        [38, "vlan"],
        [39, "menu"],
        [40, "sdi"],
        [41, "nfs"],
        [176, "no-pxedhcp"],
        [177, "bus id"],
        [190, "username"],
      ],
      ...[[235, "version"]],
    ].map(([code, name]) => [Number(code), [String(name), hexText]]),
  ),
);

const OPTIONS = new Map<number, readonly [name: string, show: Show]>([
  [1, ["subnet mask", addresses]],
  [2, ["time offset", uint]],
  [3, ["router", addresses]],
  [6, ["DNS servers", addresses]],
  [7, ["log servers", addresses]],
  [12, ["host name", text]],
  [15, ["domain name", text]],
  [17, ["root path", text]],
  [26, ["MTU", uint]],
  [28, ["broadcast address", addresses]],
  [42, ["NTP servers", addresses]],
  [43, ["vendor specific", PXE_VENDOR]],
  [50, ["requested address", addresses]],
  [51, ["lease seconds", uint]],
  [54, ["server identifier", addresses]],
  [55, ["parameters", codes]],
  [56, ["message", text]],
  [57, ["largest message", uint]],
  [58, ["renewal seconds", uint]],
  [59, ["rebinding seconds", uint]],
  [60, ["vendor class", text]],
  [61, ["client identifier", clientIdentifier]],
  [66, ["TFTP server", text]],
  [67, ["boot file", text]],
  [77, ["user class", userClass]],
  [82, ["relay agent", RELAY_AGENT]],
  [93, ["architecture", architectures]],
  [94, ["network interface", networkInterface]],
  [97, ["client UUID", uuid]],
  [119, ["domain search", hexText]],
  [121, ["static routes", hexText]],
  [175, ["iPXE", IPXE]],
]);
