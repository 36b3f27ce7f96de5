import { expect, test } from "vitest";
import type { Site } from "../../src/agent/site/io/start-site.ts";
import { type Ipv4, parseIpv4 } from "../../src/core/ipv4.ts";
import { createAddressDesk } from "../../src/daemon/address-desk.ts";
import { decideSettings } from "../../src/daemon/settings.ts";
import type { Lease } from "../../src/dhcp/lease-change.ts";
import { macOf } from "../store/records.ts";

const CONFIG = `
dhcp:
  subnets:
    - network: 10.0.0.0/24
      pools: [10.0.0.1-10.0.0.10]
      exclude: [10.0.0.9]
      reservations: [{ mac: "52:54:00:00:00:01", address: 10.0.0.5 }, { circuitId: "hex:0a", address: 10.0.0.77 }]
`;

function ip(text: string): Ipv4 {
  return parseIpv4(text) as Ipv4;
}

const leases: Lease[] = [
  { address: ip("10.0.0.5"), client: macOf(1), hostname: null, expiresAt: 1 },
  { address: ip("10.0.0.3"), client: macOf(2), hostname: "b", expiresAt: 2 },
];

function desk() {
  const ask = (async (question: string) =>
    question === "list-leases" ? leases : null) as Site["askBootProcess"];
  const { dhcp } = decideSettings({
    file: { path: "drp.yaml", text: CONFIG },
    env: {},
    flags: {},
    defaults: { data: "/data", bootFiles: "/boot-files" },
  });
  return createAddressDesk(ask, dhcp.subnets, [ip("10.0.0.1")]);
}

test("a subnet's size is what any client may get: not what is excluded, reserved or our own", async () => {
  expect(await desk().subnets()).toMatchObject([
    { network: "10.0.0.0/24", pools: ["10.0.0.1-10.0.0.10"], size: 7, leased: 1, free: 6, reservations: 2 },
  ]);
});

test("a reservation says for whom it is, and whether it is in use", async () => {
  expect(await desk().reservations()).toMatchObject([
    { address: "10.0.0.5", for: "52:54:00:00:00:01", leased: true },
    { address: "10.0.0.77", for: "circuit 0a", leased: false },
  ]);
});

test("a lease names its subnet; one that nobody holds cannot be released", async () => {
  expect(await desk().leases()).toContainEqual({
    address: "10.0.0.3",
    mac: macOf(2),
    hostname: "b",
    subnet: "10.0.0.0/24",
    expiresAt: 2,
  });
  expect(await desk().release(ip("10.0.0.8"))).toBeUndefined();
});
