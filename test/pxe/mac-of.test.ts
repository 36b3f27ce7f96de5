import { describe, expect, it } from "vitest";
import { CONFLICT_RESTS_MS, conflictAt, type LeaseChange } from "../../src/dhcp/lease-change.ts";
import { BootServices } from "../../src/pxe/io/boot-services.ts";
import { ip, machine, NOW, subnet } from "../dhcp/helpers/server.ts";

const address = ip("10.0.0.10");
const client = machine(1);
const expiresAt = NOW + 3_600_000;
const LEASE: LeaseChange = {
  kind: "lease",
  at: NOW,
  lease: { address, client, hostname: null, expiresAt },
};

/** Whose 10.0.0.10 is after these changes; nothing is opened for that. */
function macAfter(changes: readonly LeaseChange[], now = NOW) {
  const services = new BootServices({
    config: {
      mode: "server",
      interfaces: [],
      ports: { dhcp: 0, proxyDhcp: 0, tftp: 0 },
      leaseJournal: "nowhere",
      settings: {
        subnets: [subnet()],
        classes: [],
        bootPort: 1,
        loaders: { ipxe: {}, signed: {} },
        loader: "auto",
        tftpFiles: new Map(),
        bootAnswers: new Map(),
        unknown: { kind: "boot" },
      },
    },
    clock: () => now,
    onEvent: () => {},
    scriptFor: () => Promise.reject(new Error("nobody asks")),
    onServices: () => {},
  });
  for (const change of changes) services.book.leases.apply(change);
  return services.macOf("10.0.0.10");
}

describe("macOf(), by which boot tokens are given,", () => {
  it("knows a machine by its lease", () => {
    expect(macAfter([LEASE])).toBe(client);
  });

  it.each<[string, LeaseChange[], number]>([
    ["was only offered", [{ kind: "offer", address, client, until: NOW + 60_000, probed: true }], NOW],
    ["a probe found to be somebody else's", [conflictAt({ address, client }, NOW)], NOW],
    [
      "its machine declined: somebody else sits there",
      [LEASE, { kind: "decline", at: NOW, address, client, until: NOW + CONFLICT_RESTS_MS }],
      NOW,
    ],
    ["was taken back", [LEASE, { kind: "revoke", at: NOW, address, client }], NOW],
    ["had a lease that has run out", [LEASE], expiresAt],
  ])("knows no machine by an address that %s", (_what, changes, now) => {
    expect(macAfter(changes, now)).toBeNull();
  });
});
