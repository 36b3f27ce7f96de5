/** Decides on which interface the local site answers, and under which address machines reach it. */
import type { NetworkInterfaceInfo } from "node:os";
import { DrpError } from "../core/errors.ts";
import { formatIpv4, networkContains, parseIpv4 } from "../core/ipv4.ts";
import type { Subnet } from "../dhcp/subnet.ts";

export interface SiteAddress {
  readonly address: string;
  /** Null when the site gives no addresses. */
  readonly interfaceName: string | null;
}

type Interfaces = Readonly<
  Record<string, readonly Pick<NetworkInterfaceInfo, "address" | "family" | "internal">[] | undefined>
>;

/**
 * @param wanted the interface that the configuration names, if any
 * @throws {DrpError} config.invalid when DHCP has subnets and no interface fits
 */
export function decideSiteAddress(
  interfaces: Interfaces,
  wanted: string | null,
  subnets: readonly Subnet[],
): SiteAddress {
  const candidates = Object.entries(interfaces).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter(({ family }) => family === "IPv4")
      .map(({ address, internal }) => ({ name, address, internal })),
  );
  if (subnets.length === 0 && wanted === null) {
    const outside = candidates.find(candidate => !candidate.internal);
    return { address: outside?.address ?? "127.0.0.1", interfaceName: null };
  }
  const named = wanted === null ? candidates : candidates.filter(candidate => candidate.name === wanted);
  // A relay's subnets are on no interface of ours: the interface that was named will do then.
  const chosen =
    named.find(({ address }) => isInside(subnets, address)) ?? (wanted === null ? undefined : named[0]);
  if (chosen === undefined) throw noInterface(wanted, subnets, candidates);
  return { address: chosen.address, interfaceName: subnets.length === 0 ? null : chosen.name };
}

function isInside(subnets: readonly Subnet[], text: string): boolean {
  const address = parseIpv4(text);
  return address !== undefined && subnets.some(subnet => networkContains(subnet.network, address));
}

function noInterface(
  wanted: string | null,
  subnets: readonly Subnet[],
  candidates: readonly { readonly name: string; readonly address: string }[],
): DrpError {
  const there = candidates.map(({ name, address }) => `${name} (${address})`).join(", ") || "none";
  const networks = subnets
    .map(({ network }) => `${formatIpv4(network.network)}/${network.prefixLength}`)
    .join(", ");
  const what =
    wanted === null
      ? `dhcp.subnets: no interface has an address in ${networks}`
      : `dhcp.interfaces: ${wanted} is not there or has no IPv4 address`;
  return new DrpError("config.invalid", `${what}; this host has ${there}`, {
    advice:
      "Give the interface an address in the subnet (`ip addr add`), or correct dhcp in the configuration.",
  });
}
