/** A subnet as drp.yaml writes it, and as DHCP uses it: parsed, and checked for what cannot work on any wire. */
import { z } from "zod";
import {
  broadcastAddress,
  formatIpv4,
  type Ipv4,
  type Ipv4Network,
  networkContains,
  parseIpv4,
  parseIpv4Network,
} from "../core/ipv4.ts";
import { parseMac } from "../core/mac.ts";
import type { AddressRange } from "../dhcp/ranges.ts";
import type { Reservation, Subnet } from "../dhcp/subnet.ts";

export const subnetSchema = z.strictObject({
  network: z.string(),
  pools: z.array(z.string()).max(256).optional(),
  exclude: z.array(z.string()).max(1024).optional(),
  router: z.string().optional(),
  dns: z.array(z.string()).max(8).optional(),
  leaseMinutes: z.int().min(2).max(525_600).optional(),
  reservations: z
    .array(z.strictObject({ mac: z.string(), address: z.string() }))
    .max(65_536)
    .optional(),
});
export type WrittenSubnet = z.output<typeof subnetSchema>;

/** A machine that is off for a night finds its address again; a replaced one frees it within the day. */
const DEFAULT_LEASE_MINUTES = 720;

export interface SubnetProblem {
  readonly path: readonly PropertyKey[];
  readonly reason: string;
}

export type DecidedSubnet =
  | { readonly kind: "subnet"; readonly subnet: Subnet }
  | { readonly kind: "invalid"; readonly problems: readonly SubnetProblem[] };

/** @param before subnets that stand above this one in the file */
export function decideSubnet(written: WrittenSubnet, before: readonly Subnet[]): DecidedSubnet {
  const network = parseIpv4Network(written.network);
  if (network === undefined) {
    const reason = `${written.network} is no IPv4 network; write it as 10.0.0.0/24, without host bits`;
    return { kind: "invalid", problems: [{ path: ["network"], reason }] };
  }
  const reader = new SubnetReader(network);
  const overlapping = before.find(
    other =>
      networkContains(other.network, network.network) || networkContains(network, other.network.network),
  );
  if (overlapping !== undefined) reader.refuse(["network"], `${written.network} overlaps a subnet above it`);
  const subnet: Subnet = {
    network,
    pools: (written.pools ?? []).flatMap((text, index) => reader.range(["pools", index], text)),
    exclusions: (written.exclude ?? []).flatMap((text, index) => reader.range(["exclude", index], text)),
    router: written.router === undefined ? null : (reader.inside(["router"], written.router) ?? null),
    dns: (written.dns ?? []).flatMap((text, index) => reader.address(["dns", index], text) ?? []),
    leaseSeconds: (written.leaseMinutes ?? DEFAULT_LEASE_MINUTES) * 60,
    options: [],
    reservations: reader.reservations(written.reservations ?? []),
  };
  return reader.problems.length > 0
    ? { kind: "invalid", problems: reader.problems }
    : { kind: "subnet", subnet };
}

/** Reads the parts of one subnet and keeps every problem, so that a person mends them all at once. */
class SubnetReader {
  readonly problems: SubnetProblem[] = [];
  readonly #network: Ipv4Network;

  constructor(network: Ipv4Network) {
    this.#network = network;
  }

  refuse(path: readonly PropertyKey[], reason: string): void {
    this.problems.push({ path, reason });
  }

  address(path: readonly PropertyKey[], text: string): Ipv4 | undefined {
    const address = parseIpv4(text);
    if (address === undefined) this.refuse(path, `${text} is no IPv4 address`);
    return address;
  }

  /** An address that a host of this network can have. */
  inside(path: readonly PropertyKey[], text: string): Ipv4 | undefined {
    const address = this.address(path, text);
    if (address === undefined) return undefined;
    const { network } = this.#network;
    if (!networkContains(this.#network, address)) this.refuse(path, `${text} is outside ${this.#text()}`);
    else if (address === network || address === broadcastAddress(this.#network)) {
      this.refuse(path, `${text} is the first or last address of ${this.#text()}, which no host can have`);
    }
    return address;
  }

  /** "10.0.0.10-10.0.0.99" or one address */
  range(path: readonly PropertyKey[], text: string): AddressRange[] {
    const [firstText = "", lastText = firstText, ...rest] = text.split("-").map(part => part.trim());
    if (rest.length > 0) {
      this.refuse(path, `${text} is no range; write it as 10.0.0.10-10.0.0.99`);
      return [];
    }
    const first = this.inside(path, firstText);
    const last = this.inside(path, lastText);
    if (first === undefined || last === undefined) return [];
    if (first > last) this.refuse(path, `${text} ends before it begins`);
    return [{ first, last }];
  }

  reservations(written: readonly { readonly mac: string; readonly address: string }[]): Reservation[] {
    const seen = new Set<string | number>();
    return written.flatMap((entry, index) => {
      const path = ["reservations", index];
      const mac = parseMac(entry.mac);
      if (mac === undefined) this.refuse([...path, "mac"], `${entry.mac} is no MAC address`);
      const address = this.inside([...path, "address"], entry.address);
      if (mac === undefined || address === undefined) return [];
      if (seen.has(mac)) this.refuse([...path, "mac"], `${mac} already has a reservation in this subnet`);
      if (seen.has(address)) this.refuse([...path, "address"], `${formatIpv4(address)} is already reserved`);
      seen.add(mac).add(address);
      return [{ client: { kind: "mac", mac }, address, hostname: null, options: [] }];
    });
  }

  #text(): string {
    return `${formatIpv4(this.#network.network)}/${this.#network.prefixLength}`;
  }
}
