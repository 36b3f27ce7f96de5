import { describe, expect, it } from "vitest";
import { formatIpv4, type Ipv4, parseIpv4, parseIpv4Network } from "../../src/core/ipv4.ts";
import { type MacAddress, macFromBytes } from "../../src/core/mac.ts";
import { LeaseIndex } from "../../src/dhcp/leases.ts";
import { subtractRanges } from "../../src/dhcp/ranges.ts";
import type { Reservation, Subnet } from "../../src/dhcp/subnet.ts";

const ip = (text: string) => parseIpv4(text) ?? fail(text);
const machine = (number: number) => macFromBytes(Uint8Array.of(2, 0, 0, number >> 16, number >> 8, number));

function fail(text: string): never {
  throw new Error(`not an address: ${text}`);
}

function reserved(number: number, address: string): Reservation {
  return { client: { kind: "mac", mac: machine(number) }, address: ip(address), hostname: null, options: [] };
}

function subnet(changes: Partial<Subnet> = {}): Subnet {
  return {
    network: parseIpv4Network("10.0.0.0/24") ?? fail("network"),
    pools: [{ first: ip("10.0.0.10"), last: ip("10.0.0.13") }],
    exclusions: [],
    reservations: [],
    router: ip("10.0.0.1"),
    dns: [],
    leaseSeconds: 600,
    options: [],
    ...changes,
  };
}

function chosen(leases: LeaseIndex, mac: MacAddress, now: number, requested?: Ipv4): string {
  const [only] = leases.subnets;
  if (only === undefined) throw new Error("no subnet");
  const choice = leases.choose(only, claimOf(leases, only, mac), requested, now);
  return choice.kind === "chosen" ? formatIpv4(choice.address) : choice.reason;
}

function claimOf(leases: LeaseIndex, within: Subnet, client: MacAddress) {
  return { client, reservation: leases.reservationOf(within, client, new Map()) };
}

function leaseTo(leases: LeaseIndex, mac: MacAddress, address: string, expiresAt: number) {
  return leases.apply({
    kind: "lease",
    at: 0,
    lease: { address: ip(address), client: mac, hostname: null, expiresAt },
  });
}

describe("LeaseIndex", () => {
  it("gives each machine an address of its own until the pool is dry, and says that it is", () => {
    const leases = new LeaseIndex([subnet()], []);
    const given = [1, 2, 3, 4].map(number => {
      const address = chosen(leases, machine(number), 0);
      leaseTo(leases, machine(number), address, 1000);
      return address;
    });
    expect(given).toEqual(["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13"]);
    expect(chosen(leases, machine(5), 999)).toBe(
      "every address of 10.0.0.0/24's pools is taken: 4 of 4 leased, 0 offered, 0 resting after a conflict; the next is free in 0 s",
    );
  });

  it("gives a machine its own address back, also after the lease ran out", () => {
    const leases = new LeaseIndex([subnet()], []);
    leaseTo(leases, machine(1), "10.0.0.12", 1000);
    expect(chosen(leases, machine(1), 5000)).toBe("10.0.0.12");
  });

  it("takes the address that was free longest once none is untouched", () => {
    const leases = new LeaseIndex([subnet()], []);
    for (const [number, address] of ["10.0.0.11", "10.0.0.10", "10.0.0.13", "10.0.0.12"].entries()) {
      leaseTo(leases, machine(number), address, 1000 + number);
    }
    expect(chosen(leases, machine(9), 2000)).toBe("10.0.0.11");
  });

  it("keeps what is excluded, reserved, the router's and our own out of the pool", () => {
    const leases = new LeaseIndex(
      [
        subnet({
          pools: [{ first: ip("10.0.0.0"), last: ip("10.0.0.6") }],
          exclusions: [{ first: ip("10.0.0.3"), last: ip("10.0.0.4") }],
          reservations: [reserved(7, "10.0.0.5")],
        }),
      ],
      [ip("10.0.0.2")],
    );
    expect(chosen(leases, machine(1), 0)).toBe("10.0.0.6");
    leaseTo(leases, machine(1), "10.0.0.6", 1000);
    expect(chosen(leases, machine(2), 0)).toContain("taken");
    expect(chosen(leases, machine(7), 0)).toBe("10.0.0.5");
  });

  it("never gives a reserved address to somebody else, even when its lease ran out", () => {
    const withReserved = subnet({
      pools: [{ first: ip("10.0.0.10"), last: ip("10.0.0.10") }],
      reservations: [reserved(7, "10.0.0.9")],
    });
    const leases = new LeaseIndex([withReserved], []);
    leaseTo(leases, machine(7), "10.0.0.9", 100);
    leaseTo(leases, machine(1), "10.0.0.10", 100_000);
    expect(chosen(leases, machine(2), 5000)).toContain("taken");
    expect(chosen(leases, machine(2), 5000, ip("10.0.0.9"))).toContain("taken");
  });

  it("lets a declined address rest, also from the machine that declined it", () => {
    const leases = new LeaseIndex([subnet()], []);
    leases.apply({ kind: "decline", at: 0, address: ip("10.0.0.10"), client: machine(1), until: 1000 });
    expect(chosen(leases, machine(1), 999)).toBe("10.0.0.11");
  });

  it("takes back a change whose commit failed, but not over a later one", () => {
    const leases = new LeaseIndex([subnet()], []);
    leaseTo(leases, machine(1), "10.0.0.10", 1000);
    const renewal = leaseTo(leases, machine(1), "10.0.0.10", 2000);
    const next = leaseTo(leases, machine(1), "10.0.0.10", 3000);
    if (renewal === undefined || next === undefined) throw new Error("not applied");
    leases.revert(renewal);
    expect(leases.liveLeases(0)).toMatchObject([{ expiresAt: 3000 }]);
    leases.revert(next);
    expect(leases.liveLeases(0)).toMatchObject([{ expiresAt: 2000 }]);
  });

  it("reuses offers that nobody took before it touches new addresses: a stranger's many names cost no memory", () => {
    const leases = new LeaseIndex(
      [subnet({ pools: [{ first: ip("10.0.0.10"), last: ip("10.0.0.200") }] })],
      [],
    );
    for (let number = 0; number < 100; number++) {
      const now = number * 100;
      leases.apply({
        kind: "offer",
        address: ip(chosen(leases, machine(number), now)),
        client: machine(number),
        until: now + 150,
        probed: true,
      });
    }
    expect(chosen(leases, machine(500), 1_000_000)).toMatch(/^10\.0\.0\.1[0-2]$/);
  });

  it("does not mind a clock that runs backwards", () => {
    const leases = new LeaseIndex([subnet()], []);
    leaseTo(leases, machine(1), "10.0.0.10", 1_000_000);
    leaseTo(leases, machine(2), "10.0.0.11", 500);
    expect(chosen(leases, machine(3), 100)).toBe("10.0.0.12");
    expect(chosen(leases, machine(1), 100)).toBe("10.0.0.10");
  });

  it("finds what ran out among short leases behind long ones that were given before the lease time was shortened", () => {
    const leases = new LeaseIndex([subnet()], []);
    for (const number of [0, 1, 2, 3]) leaseTo(leases, machine(number), `10.0.0.1${number}`, 1_000_000);
    leaseTo(leases, machine(2), "10.0.0.12", 1000);
    expect(chosen(leases, machine(9), 999)).toContain("the next is free in 0 s");
    expect(chosen(leases, machine(9), 1000)).toBe("10.0.0.12");
  });
});

describe("subtractRanges()", () => {
  it.each([
    [
      "a hole in the middle",
      [[1, 9]],
      [[4, 5]],
      [
        [1, 3],
        [6, 9],
      ],
    ],
    [
      "a hole over the edge",
      [[1, 9]],
      [
        [0, 3],
        [8, 20],
      ],
      [[4, 7]],
    ],
    [
      "ranges that overlap",
      [
        [1, 5],
        [3, 9],
      ],
      [],
      [
        [1, 5],
        [6, 9],
      ],
    ],
    [
      "holes that overlap",
      [[1, 9]],
      [
        [2, 5],
        [4, 6],
      ],
      [
        [1, 1],
        [7, 9],
      ],
    ],
    ["everything", [[1, 9]], [[0, 99]], []],
  ])("removes %s", (_name, ranges, holes, left) => {
    const asRanges = (pairs: number[][]) =>
      pairs.map(([first = 0, last = 0]) => ({ first: first as Ipv4, last: last as Ipv4 }));
    expect(subtractRanges(asRanges(ranges), asRanges(holes))).toEqual(asRanges(left));
  });
});
