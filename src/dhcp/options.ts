/** DHCP options by name, and their values as bytes (RFC 2132). No packet layout here. */
import type { Ipv4 } from "../core/ipv4.ts";

export const OPTION = {
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostname: 12,
  broadcastAddress: 28,
  vendorSpecific: 43,
  requestedAddress: 50,
  leaseSeconds: 51,
  overload: 52,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maxMessageSize: 57,
  renewalSeconds: 58,
  rebindingSeconds: 59,
  vendorClass: 60,
  clientIdentifier: 61,
  bootFile: 67,
  /** RFC 3004, and iPXE's raw form. */
  userClass: 77,
  /** RFC 3046: belongs to the relay, echoed whole. */
  relayAgent: 82,
  /** RFC 4578 §2.1 */
  clientArchitecture: 93,
  /** RFC 4578 §2.3 */
  clientUuid: 97,
  /** RFC 3011 */
  subnetSelection: 118,
  /** iPXE's own encapsulated options. */
  ipxe: 175,
} as const;

/** Option code → value, in wire order. Fragments are already joined (RFC 3396). */
export type DhcpOptions = ReadonlyMap<number, Uint8Array>;

export type OptionEntry = readonly [code: number, value: Uint8Array];

export function ipv4Value(...addresses: readonly Ipv4[]): Uint8Array {
  const value = new Uint8Array(addresses.length * 4);
  addresses.forEach((address, index) => {
    writeUint32(value, index * 4, address);
  });
  return value;
}

/** @param value 0 … 2^32-1; more is cut to 2^32-1, which DHCP reads as "for ever" */
export function uint32Value(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, Math.min(value, 0xffffffff));
  return bytes;
}

/** By hand: a DataView, or a Buffer, for each of a reply's ten values cost more than the rest of the reply. */
function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

export function textValue(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

/** Undefined when the option is absent or has another length than one byte. */
export function readUint8(options: DhcpOptions, code: number): number | undefined {
  const value = options.get(code);
  return value?.length === 1 ? value[0] : undefined;
}

/** First 16-bit number of the option; undefined when there is none. */
export function readUint16(options: DhcpOptions, code: number): number | undefined {
  const [high, low] = options.get(code) ?? [];
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}

/** Undefined when the option is absent or has another length than four bytes. */
export function readIpv4(options: DhcpOptions, code: number): Ipv4 | undefined {
  return ipv4Of(options.get(code));
}

/** Undefined for anything but four bytes. */
export function ipv4Of(value: Uint8Array | undefined): Ipv4 | undefined {
  if (value?.length !== 4) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = value;
  return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) as Ipv4;
}

/** Text up to the first NUL, a byte per character: senders pad with NUL and nobody says which encoding it is. */
export function readText(options: DhcpOptions, code: number): string | undefined {
  const value = options.get(code);
  return value === undefined ? undefined : textUntilNul(value);
}

export function textUntilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("latin1");
}
