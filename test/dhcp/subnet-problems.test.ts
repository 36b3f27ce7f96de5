import { describe, expect, it } from "vitest";
import type { Reservation, ReservedFor, Subnet } from "../../src/dhcp/subnet.ts";
import { findSubnetProblems } from "../../src/dhcp/subnet-problems.ts";
import { ip, machine, networkOf, subnet } from "./helpers/server.ts";

function problems(...subnets: Partial<Subnet>[]): string[] {
  return findSubnetProblems(subnets.map(changes => subnet(changes))).map(
    ({ path, reason, advice }) => `${path.join(".")}: ${reason}. ${advice}`,
  );
}

const range = (first: string, last: string) => ({ first: ip(first), last: ip(last) });
const mac = (number: number): ReservedFor => ({ kind: "mac", mac: machine(number) });
function reserve(client: ReservedFor, address: string): Reservation {
  return { client, address: ip(address), hostname: null, options: [] };
}

describe("findSubnetProblems()", () => {
  it("finds nothing wrong with what works", () => {
    const link = {
      network: networkOf("10.1.0.0/31"),
      pools: [range("10.1.0.1", "10.1.0.1")],
      router: ip("10.1.0.0"),
    };
    const shared = {
      exclusions: [range("10.0.0.12", "10.0.0.13")],
      reservations: [reserve(mac(1), "10.0.0.14"), reserve(mac(2), "10.0.0.99")],
    };
    expect(problems(shared, link)).toEqual([]);
  });

  it.each<[string, Partial<Subnet>[], string]>([
    [
      "a subnet within another",
      [{}, { network: networkOf("10.0.0.0/16"), router: null, pools: [] }],
      "1.network: 10.0.0.0/16 overlaps 10.0.0.0/24. Keep one of the two, or give each its own part of the addresses.",
    ],
    [
      "a pool outside its subnet",
      [{ pools: [range("10.0.0.200", "10.0.1.20")] }],
      "0.pools.0: the pool 10.0.0.200-10.0.1.20 reaches outside 10.0.0.0/24. Keep it within 10.0.0.1-10.0.0.254, or make the network larger.",
    ],
    [
      "an exclusion outside its subnet",
      [{ exclusions: [range("10.0.1.1", "10.0.1.2")] }],
      "0.exclusions.0: the exclusion 10.0.1.1-10.0.1.2 reaches outside 10.0.0.0/24. Keep it within 10.0.0.1-10.0.0.254, or make the network larger.",
    ],
    [
      "a pool that ends before it begins",
      [{ pools: [range("10.0.0.20", "10.0.0.10")] }],
      "0.pools.0: the pool 10.0.0.20-10.0.0.10 ends before it begins. Swap its ends.",
    ],
    [
      "pools that overlap",
      [{ pools: [range("10.0.0.10", "10.0.0.20"), range("10.0.0.20", "10.0.0.30")] }],
      "0.pools.1: the pool 10.0.0.20-10.0.0.30 overlaps the pool 10.0.0.10-10.0.0.20. Write them as one pool.",
    ],
    [
      "a pool of which nothing is left",
      [{ pools: [range("10.0.0.10", "10.0.0.11")], exclusions: [range("10.0.0.5", "10.0.0.15")] }],
      "0.pools.0: the pool 10.0.0.10-10.0.0.11 has no address left to give: exclusions, reservations, the router and the network's ends take all. Make the pool larger, or take it out.",
    ],
    [
      "a router outside",
      [{ router: ip("10.0.1.1") }],
      "0.router: the router 10.0.1.1 is no host of 10.0.0.0/24: no machine there could reach it. Name a router within 10.0.0.1-10.0.0.254, or none.",
    ],
    [
      "a reservation outside",
      [{ reservations: [reserve(mac(1), "10.0.1.7")] }],
      "0.reservations.0: 10.0.1.7, reserved for 52:54:00:00:00:01, is no host of 10.0.0.0/24. Reserve an address within 10.0.0.1-10.0.0.254, or move the reservation to the subnet that has it.",
    ],
    [
      "a reservation of the router's address",
      [{ reservations: [reserve(mac(1), "10.0.0.1")] }],
      "0.reservations.0: 10.0.0.1, reserved for 52:54:00:00:00:01, is the router's. Reserve another address.",
    ],
    [
      "one address for two machines",
      [
        {
          reservations: [
            reserve(mac(1), "10.0.0.7"),
            reserve({ kind: "client-id", clientId: "ff01" }, "10.0.0.7"),
          ],
        },
      ],
      "0.reservations.1: 10.0.0.7 is reserved twice, for 52:54:00:00:00:01 and for client id ff01. Two machines cannot have one address: give one of them another.",
    ],
    [
      "two addresses for one port",
      [
        {
          reservations: ["10.0.0.7", "10.0.0.8"].map(address =>
            reserve({ kind: "circuit", circuitId: "aa", remoteId: "bb" }, address),
          ),
        },
      ],
      "0.reservations.1: circuit id aa of remote id bb has two reservations in 10.0.0.0/24: 10.0.0.7 and 10.0.0.8. Keep one of them.",
    ],
  ])("names %s, and what to do", (_name, subnets, expected) => {
    expect(problems(...subnets)).toEqual([expected]);
  });

  it("names every problem at once", () => {
    const bad = { router: ip("10.0.1.1"), reservations: [reserve(mac(1), "10.0.1.7")] };
    expect(problems(bad, bad).map(text => text.split(":")[0])).toEqual([
      "1.network",
      "0.router",
      "0.reservations.0",
      "1.router",
      "1.reservations.0",
    ]);
  });
});
