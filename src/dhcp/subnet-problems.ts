/** What cannot work on any wire in a set of subnets: each says what is wrong, with what, and what to do. */
import {
  broadcastAddress,
  formatIpv4,
  formatIpv4Network,
  type Ipv4,
  type Ipv4Network,
  networkContains,
} from "../core/ipv4.ts";
import type { AddressRange } from "./ranges.ts";
import { assignableRanges, type ReservedFor, type Subnet } from "./subnet.ts";

export interface SubnetProblem {
  /** Into the list of subnets, in the names of `Subnet`: [0, "pools", 1]. */
  readonly path: readonly (string | number)[];
  /** What is wrong. */
  readonly reason: string;
  /** What to do, one imperative sentence. */
  readonly advice: string;
}

/** In the order of the subnets, so that a person mends them all at once. */
export function findSubnetProblems(subnets: readonly Subnet[]): SubnetProblem[] {
  return [...overlaps(subnets), ...subnets.flatMap((subnet, index) => problemsWithin(subnet, index))];
}

function overlaps(subnets: readonly Subnet[]): SubnetProblem[] {
  return subnets.flatMap(({ network }, index) => {
    const other = subnets.slice(0, index).find(before => networksOverlap(before.network, network));
    if (other === undefined) return [];
    return {
      path: [index, "network"],
      reason: `${formatIpv4Network(network)} overlaps ${formatIpv4Network(other.network)}`,
      advice: "Keep one of the two, or give each its own part of the addresses.",
    };
  });
}

function networksOverlap(a: Ipv4Network, b: Ipv4Network): boolean {
  return networkContains(a, b.network) || networkContains(b, a.network);
}

function problemsWithin(subnet: Subnet, subnetIndex: number): SubnetProblem[] {
  const problems = [
    ...rangeProblems(subnet, "pools"),
    ...rangeProblems(subnet, "exclusions"),
    ...poolOverlaps(subnet),
    ...emptyPools(subnet),
    ...routerProblems(subnet),
    ...reservationProblems(subnet),
  ];
  return problems.map(problem => ({ ...problem, path: [subnetIndex, ...problem.path] }));
}

function rangeProblems(
  { network, pools, exclusions }: Subnet,
  part: "pools" | "exclusions",
): SubnetProblem[] {
  const ranges = part === "pools" ? pools : exclusions;
  const what = part === "pools" ? "pool" : "exclusion";
  return ranges.flatMap((range, index): SubnetProblem[] => {
    const path = [part, index];
    if (range.first > range.last) {
      return [
        { path, reason: `the ${what} ${rangeText(range)} ends before it begins`, advice: "Swap its ends." },
      ];
    }
    if (networkContains(network, range.first) && networkContains(network, range.last)) return [];
    return [
      {
        path,
        reason: `the ${what} ${rangeText(range)} reaches outside ${formatIpv4Network(network)}`,
        advice: `Keep it within ${rangeText(hostsOf(network))}, or make the network larger.`,
      },
    ];
  });
}

function poolOverlaps({ pools }: Subnet): SubnetProblem[] {
  return pools.flatMap((pool, index) => {
    const other = pools
      .slice(0, index)
      .find(before => before.first <= pool.last && pool.first <= before.last);
    if (other === undefined) return [];
    return {
      path: ["pools", index],
      reason: `the pool ${rangeText(pool)} overlaps the pool ${rangeText(other)}`,
      advice: "Write them as one pool.",
    };
  });
}

/** Of a pool that lies in its subnet: what exclusions, reservations and the router leave. */
function emptyPools(subnet: Subnet): SubnetProblem[] {
  return subnet.pools.flatMap((pool, index) => {
    const sound = pool.first <= pool.last && networkContains(subnet.network, pool.first);
    if (!sound || assignableRanges({ ...subnet, pools: [pool] }, []).length > 0) return [];
    return {
      path: ["pools", index],
      reason: `the pool ${rangeText(pool)} has no address left to give: exclusions, reservations, the router and the network's ends take all`,
      advice: "Make the pool larger, or take it out.",
    };
  });
}

function routerProblems({ network, router }: Subnet): SubnetProblem[] {
  if (router === null || canBeHost(network, router)) return [];
  return [
    {
      path: ["router"],
      reason: `the router ${formatIpv4(router)} is no host of ${formatIpv4Network(network)}: no machine there could reach it`,
      advice: `Name a router within ${rangeText(hostsOf(network))}, or none.`,
    },
  ];
}

function reservationProblems({ network, router, reservations }: Subnet): SubnetProblem[] {
  const problems: SubnetProblem[] = [];
  const byAddress = new Map<Ipv4, ReservedFor>();
  const byClient = new Map<string, Ipv4>();
  for (const [index, { client, address }] of reservations.entries()) {
    const path = ["reservations", index];
    const who = describeClient(client);
    const text = formatIpv4(address);
    const refuse = (reason: string, advice: string) => problems.push({ path, reason, advice });
    if (!canBeHost(network, address)) {
      refuse(
        `${text}, reserved for ${who}, is no host of ${formatIpv4Network(network)}`,
        `Reserve an address within ${rangeText(hostsOf(network))}, or move the reservation to the subnet that has it.`,
      );
    }
    if (address === router) {
      refuse(`${text}, reserved for ${who}, is the router's`, "Reserve another address.");
    }
    const rival = byAddress.get(address);
    const mine = byClient.get(who);
    if (rival !== undefined && describeClient(rival) !== who) {
      refuse(
        `${text} is reserved twice, for ${describeClient(rival)} and for ${who}`,
        "Two machines cannot have one address: give one of them another.",
      );
    }
    if (mine !== undefined) {
      refuse(
        `${who} has two reservations in ${formatIpv4Network(network)}: ${formatIpv4(mine)} and ${text}`,
        "Keep one of them.",
      );
    }
    byAddress.set(address, client);
    byClient.set(who, address);
  }
  return problems;
}

function describeClient(client: ReservedFor): string {
  switch (client.kind) {
    case "mac":
      return client.mac;
    case "client-id":
      return `client id ${client.clientId}`;
    case "circuit": {
      const remote = client.remoteId === null ? "" : ` of remote id ${client.remoteId}`;
      return `circuit id ${client.circuitId}${remote}`;
    }
  }
}

/** The first and the last address of a network are no hosts; in /31 and /32 all are (RFC 3021). */
function hostsOf(network: Ipv4Network): AddressRange {
  const first = network.network;
  const last = broadcastAddress(network);
  if (network.prefixLength >= 31) return { first, last };
  return { first: (first + 1) as Ipv4, last: (last - 1) as Ipv4 };
}

function canBeHost(network: Ipv4Network, address: Ipv4): boolean {
  const { first, last } = hostsOf(network);
  return first <= address && address <= last;
}

function rangeText({ first, last }: AddressRange): string {
  return `${formatIpv4(first)}-${formatIpv4(last)}`;
}
