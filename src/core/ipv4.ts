/** IPv4 addresses as unsigned 32-bit numbers, and networks in CIDR form. */

/** Host byte order, 0 … 2^32-1: `10.0.0.1` is 0x0a000001. */
export type Ipv4 = number & { readonly __brand: "Ipv4" };

/** A network in CIDR form; `network` has its host bits cleared. */
export interface Ipv4Network {
  readonly network: Ipv4;
  /** 0 … 32 */
  readonly prefixLength: number;
}

export const UNSPECIFIED = 0 as Ipv4;
export const LIMITED_BROADCAST = 0xffffffff as Ipv4;

const DOTTED = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** Dotted decimal only; undefined for anything else (no octal, no shortened forms). */
export function parseIpv4(text: string): Ipv4 | undefined {
  const match = DOTTED.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    const octet = Number(part);
    if (octet > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    value = value * 256 + octet;
  }
  return value as Ipv4;
}

/** "10.0.0.1" */
export function formatIpv4(address: Ipv4): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** "10.0.0.0/24" → network; undefined when malformed or when host bits are set. */
export function parseIpv4Network(text: string): Ipv4Network | undefined {
  const [addressText = "", prefixText = "", ...rest] = text.split("/");
  const network = parseIpv4(addressText);
  if (network === undefined || rest.length > 0 || !/^\d{1,2}$/.test(prefixText)) return undefined;
  const prefixLength = Number(prefixText);
  if (prefixLength > 32 || (network & ~prefixMask(prefixLength)) !== 0) return undefined;
  return { network, prefixLength };
}

/** "10.0.0.0/24" */
export function formatIpv4Network({ network, prefixLength }: Ipv4Network): string {
  return `${formatIpv4(network)}/${prefixLength}`;
}

/** Netmask of a prefix length: 24 → 255.255.255.0. */
export function prefixMask(prefixLength: number): Ipv4 {
  return (prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0) as Ipv4;
}

/** Directed broadcast address of a network. */
export function broadcastAddress(net: Ipv4Network): Ipv4 {
  return ((net.network | ~prefixMask(net.prefixLength)) >>> 0) as Ipv4;
}

export function networkContains(net: Ipv4Network, address: Ipv4): boolean {
  return (address & prefixMask(net.prefixLength)) >>> 0 === net.network;
}
