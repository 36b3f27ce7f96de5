import { expect, test } from "vitest";
import { parseIpv4Network } from "../../src/core/ipv4.ts";
import { decideSiteAddress } from "../../src/daemon/site-address.ts";
import type { Subnet } from "../../src/dhcp/subnet.ts";

const INTERFACES = {
  lo: [{ address: "127.0.0.1", family: "IPv4", internal: true }],
  eth0: [
    { address: "fe80::1", family: "IPv6", internal: false },
    { address: "192.0.2.2", family: "IPv4", internal: false },
  ],
  eth1: [{ address: "10.0.0.1", family: "IPv4", internal: false }],
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

test.each([
  [
    "without subnets: the first address that others can reach",
    null,
    [],
    { address: "192.0.2.2", interfaceName: null },
  ],
  [
    "the interface with an address in a subnet",
    null,
    ["10.0.0.0/24"],
    { address: "10.0.0.1", interfaceName: "eth1" },
  ],
  [
    "the named interface, also for a relay's subnet",
    "eth0",
    ["172.16.0.0/16"],
    { address: "192.0.2.2", interfaceName: "eth0" },
  ],
  [
    "the named interface's address, though it gives none",
    "eth1",
    [],
    { address: "10.0.0.1", interfaceName: null },
  ],
])("the site answers at %s", (_name, wanted, networks, expected) => {
  expect(decideSiteAddress(INTERFACES, wanted, networks.map(subnet))).toEqual(expected);
});

test("no interface for a subnet, or none of that name, is an error that lists what there is", () => {
  for (const [wanted, words] of [
    [null, "no interface has an address in 172.16.0.0/16"],
    ["eth9", "eth9 is not there"],
  ] as const) {
    expect(() => decideSiteAddress(INTERFACES, wanted, [subnet("172.16.0.0/16")])).toThrow(
      expect.objectContaining({
        code: "config.invalid",
        message: expect.stringMatching(new RegExp(`${words}.*eth0 \\(192.0.2.2\\), eth1 \\(10.0.0.1\\)`)),
      }),
    );
  }
});
