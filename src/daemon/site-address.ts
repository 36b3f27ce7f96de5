/** Decides on which interfaces the local site answers DHCP, and which address it says is its own. */
import type { NetworkInterfaceInfo } from "node:os";
import { DrpError } from "../core/errors.ts";
import { formatIpv4Network, type Ipv4, networkContains, parseIpv4, UNSPECIFIED } from "../core/ipv4.ts";
import type { Subnet } from "../dhcp/subnet.ts";

export interface SiteAddress {
  /** The first served interface's; machines are told the address at which they reached us. */
  readonly address: string;
  /** Empty where there is nothing to answer. 0.0.0.0: named in the configuration, and without an address so far. */
  readonly interfaces: readonly { readonly name: string; readonly address: Ipv4 }[];
  /** What a person should hear at the start, a sentence each. */
  readonly warnings: readonly string[];
}

export interface ServedWish {
  readonly mode: "server" | "proxy";
  /** As the configuration names them; empty: every interface with an address in a subnet. */
  readonly interfaces: readonly string[];
  readonly subnets: readonly Subnet[];
}

type Interfaces = Readonly<
  Record<string, readonly Pick<NetworkInterfaceInfo, "address" | "family" | "internal">[] | undefined>
>;

interface Candidate {
  readonly name: string;
  readonly address: Ipv4;
  readonly text: string;
  readonly internal: boolean;
}

/**
 * An interface that is named and not there is waited for: at the start of a host, networks come late. Where none is named,
 * one with an address in a subnet must be there.
 *
 * @throws {DrpError} config.invalid when DHCP has subnets, names no interface, and none fits
 */
export function decideSiteAddress(interfaces: Interfaces, wish: ServedWish): SiteAddress {
  const candidates = Object.entries(interfaces).flatMap(([name, addresses]) =>
    readCandidates(name, addresses),
  );
  const answers = wish.mode === "proxy" || wish.subnets.length > 0;
  const outside = candidates.find(({ internal }) => !internal)?.text ?? "127.0.0.1";
  if (wish.interfaces.length === 0) {
    if (!answers) return { address: outside, interfaces: [], warnings: [] };
    const fitting = onePerInterface(candidates.filter(({ address }) => isInside(wish.subnets, address)));
    const [first] = fitting;
    if (first === undefined) throw noInterface(wish.subnets, candidates);
    return { address: first.text, interfaces: fitting.map(served), warnings: [] };
  }
  const named = wish.interfaces.map(name => bestAddress(candidates, name, wish.subnets) ?? { name });
  const there = named.filter(entry => "address" in entry);
  const missing = named.filter(entry => !("address" in entry)).map(({ name }) => name);
  return {
    address: there[0]?.text ?? outside,
    interfaces: answers ? named.map(served) : [],
    warnings: missing.length === 0 ? [] : [waitingFor(missing, candidates)],
  };
}

function readCandidates(name: string, addresses: Interfaces[string]): Candidate[] {
  return (addresses ?? []).flatMap(({ address: text, family, internal }) => {
    const address = family === "IPv4" ? parseIpv4(text) : undefined;
    return address === undefined ? [] : [{ name, address, text, internal }];
  });
}

/** Sockets are kept to an interface, so a second address of it would hear the same packets again. */
function onePerInterface(candidates: readonly Candidate[]): Candidate[] {
  return [
    ...new Map(candidates.toReversed().map(candidate => [candidate.name, candidate])).values(),
  ].toReversed();
}

/** A relay's subnets are on no interface of ours: any address of the interface that was named will do then. */
function bestAddress(
  candidates: readonly Candidate[],
  name: string,
  subnets: readonly Subnet[],
): Candidate | undefined {
  const own = candidates.filter(candidate => candidate.name === name);
  return own.find(({ address }) => isInside(subnets, address)) ?? own[0];
}

function served({ name, address = UNSPECIFIED }: { readonly name: string; readonly address?: Ipv4 }) {
  return { name, address };
}

function isInside(subnets: readonly Subnet[], address: Ipv4): boolean {
  return subnets.some(subnet => networkContains(subnet.network, address));
}

function waitingFor(names: readonly string[], candidates: readonly Candidate[]): string {
  const are = names.length === 1 ? "is not there or has" : "are not there or have";
  return `dhcp.interfaces: ${names.join(", ")} ${are} no IPv4 address; this host has ${listed(candidates)}. Waiting: DHCP answers there as soon as it has one`;
}

function noInterface(subnets: readonly Subnet[], candidates: readonly Candidate[]): DrpError {
  const networks = subnets.map(({ network }) => formatIpv4Network(network)).join(", ");
  const what = `dhcp.subnets: no interface has an address in ${networks}`;
  return new DrpError("config.invalid", `${what}; this host has ${listed(candidates)}`, {
    advice:
      "Give the interface an address in the subnet (`ip addr add`), or name the interface that relays reach in dhcp.interfaces.",
  });
}

function listed(candidates: readonly Candidate[]): string {
  return candidates.map(({ name, text }) => `${name} (${text})`).join(", ") || "none with an IPv4 address";
}
