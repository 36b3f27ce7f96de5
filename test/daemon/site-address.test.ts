import { expect, test } from "vitest";
import { formatIpv4, parseIpv4Network } from "../../src/core/ipv4.ts";
import { decideSiteAddress } from "../../src/daemon/site-address.ts";
import type { Subnet } from "../../src/dhcp/subnet.ts";

const INTERFACES = {
  lo: [{ address: "127.0.0.1", family: "IPv4", internal: true }],
  eth0: [
    { address: "fe80::1", family: "IPv6", internal: false },
    { address: "192.0.2.2", family: "IPv4", internal: false },
  ],
  eth1: [{ address: "10.0.0.1", family: "IPv4", internal: false }],
  eth2: [
    { address: "10.1.0.1", family: "IPv4", internal: false },
    { address: "10.2.0.1", family: "IPv4", internal: false },
  ],
} as const;

function subnet(text: string): Subnet {
  const network = parseIpv4Network(text);
  if (network === undefined) throw new Error(`${text} is no network`);
  return {
    network,
    pools: [],
    exclusions: [],
    reservations: [],
    router: null,
    dns: [],
    leaseSeconds: 60,
    options: [],
  };
}

const served = (
  wanted: readonly string[],
  networks: readonly string[],
  mode: "server" | "proxy" = "server",
) => {
  const { address, interfaces } = decideSiteAddress(INTERFACES, {
    mode,
    interfaces: wanted,
    subnets: networks.map(subnet),
  });
  return [address, interfaces.map(entry => `${entry.name} ${formatIpv4(entry.address)}`)];
};

test.each([
  ["without subnets: the first address that others can reach, and no DHCP", [], [], ["192.0.2.2", []]],
  [
    "every interface with an address in a subnet",
    [],
    ["10.0.0.0/24", "192.0.2.0/24"],
    ["192.0.2.2", ["eth0 192.0.2.2", "eth1 10.0.0.1"]],
  ],
  ["only those with an address in a subnet", [], ["10.0.0.0/24"], ["10.0.0.1", ["eth1 10.0.0.1"]]],
  [
    "the named interface, also for a relay's subnet",
    ["eth0"],
    ["172.16.0.0/16"],
    ["192.0.2.2", ["eth0 192.0.2.2"]],
  ],
  [
    "the named interfaces in their order, and no other",
    ["eth2", "eth0"],
    ["10.0.0.0/24"],
    ["10.1.0.1", ["eth2 10.1.0.1", "eth0 192.0.2.2"]],
  ],
  ["of several addresses the one in a subnet", ["eth2"], ["10.2.0.0/24"], ["10.2.0.1", ["eth2 10.2.0.1"]]],
  ["the named interface's address, though it gives none", ["eth1"], [], ["10.0.0.1", []]],
  [
    "a named interface that is not there yet is waited for",
    ["eth9", "eth1"],
    ["10.0.0.0/24"],
    ["10.0.0.1", ["eth9 0.0.0.0", "eth1 10.0.0.1"]],
  ],
])("the site answers at %s", (_name, wanted, networks, expected) => {
  expect(served(wanted, networks)).toEqual(expected);
});

test("a proxy answers on the named interfaces without any subnet", () => {
  expect(served(["eth1"], [], "proxy")).toEqual(["10.0.0.1", ["eth1 10.0.0.1"]]);
});

test("no interface for a subnet is an error that lists what there is", () => {
  const wish = { mode: "server", interfaces: [], subnets: [subnet("172.16.0.0/16")] } as const;
  expect(() => decideSiteAddress(INTERFACES, wish)).toThrow(
    expect.objectContaining({
      code: "config.invalid",
      message: expect.stringMatching(
        /no interface has an address in 172.16.0.0\/16; .*eth0 \(192.0.2.2\), eth1 \(10.0.0.1\)/,
      ),
    }),
  );
});

test("a named interface that is missing is a warning that lists what there is", () => {
  const wish = { mode: "server", interfaces: ["eth9"], subnets: [subnet("10.0.0.0/24")] } as const;
  expect(decideSiteAddress(INTERFACES, wish).warnings).toEqual([
    expect.stringMatching(/^dhcp.interfaces: eth9 is not there or has no IPv4 address; .*eth1 \(10.0.0.1\)/),
  ]);
  expect(decideSiteAddress({}, wish).warnings[0]).toContain("this host has none with an IPv4 address");
  expect(decideSiteAddress({}, wish).address).toBe("127.0.0.1");
});
