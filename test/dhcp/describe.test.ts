import { describe, expect, it } from "vitest";
import { describeConflict, describeDecision, describePoolEmpty } from "../../src/dhcp/describe.ts";
import { conflictAt } from "../../src/dhcp/lease-change.ts";
import { OPTION, textValue } from "../../src/dhcp/options.ts";
import {
  asksFor,
  ip,
  machine,
  message,
  NOW,
  RECEIVED_ON,
  type Sent,
  server,
  tell,
  toServer,
} from "./helpers/server.ts";

const BROADCAST = { ...RECEIVED_ON, broadcast: true };

function eventOf(type: Parameters<typeof message>[0], sent: Sent = {}, probed?: string) {
  const boot = {
    file: "ipxe.efi",
    options: new Map(),
    firmware: "x64-uefi PXE",
    reason: "PXE client: ipxe.efi",
  };
  const state = server({}, { bootFieldsFor: () => boot });
  const told = message(type, sent);
  return describeDecision(told, BROADCAST, tell(state, told), probed);
}

describe("describeDecision()", () => {
  it("tells what came, what the client said of itself, and what it was given", () => {
    const sent: Sent = {
      xid: 0xbeef,
      secs: 8,
      giaddr: ip("10.9.0.1"),
      options: [
        [OPTION.vendorClass, textValue("PXEClient:Arch:00007")],
        [OPTION.userClass, textValue("iPXE")],
        [OPTION.clientArchitecture, Uint8Array.of(0, 7)],
        [OPTION.clientUuid, Uint8Array.of(0, ...Array.from({ length: 16 }, (_, index) => index))],
        [OPTION.relayAgent, Buffer.from("\x01\x06eth0/7")],
      ],
    };
    expect(eventOf("discover", sent, "nobody there after 0.3 s")).toEqual({
      kind: "dhcp.offer",
      summary: "DISCOVER: 10.9.0.10 for 1 h; PXE client: ipxe.efi",
      facts: {
        asked: "discover",
        xid: "0000beef",
        interface: "lan0",
        secs: 8,
        architecture: 7,
        vendorClass: "PXEClient:Arch:00007",
        userClass: "iPXE",
        // As dmidecode shows it: the first three groups are little-endian.
        uuid: "03020100-0504-0706-0809-0a0b0c0d0e0f",
        relay: "10.9.0.1",
        circuit: "eth0/7",
        address: "10.9.0.10",
        file: "ipxe.efi",
        firmware: "x64-uefi PXE",
        probed: "nobody there after 0.3 s",
      },
    });
  });

  it.each<[string, Sent]>([
    ["selecting", { options: [asksFor("10.0.0.10"), toServer("10.0.0.1")] }],
    ["init-reboot", { options: [asksFor("10.0.0.10")] }],
    ["rebinding", { ciaddr: ip("10.0.0.10") }],
  ])("names the state of a REQUEST: %s", (state, sent) => {
    expect(eventOf("request", sent).facts).toMatchObject({ asked: "request", state });
  });

  it("names renewing where the REQUEST came by unicast, and no state where it carries nothing", () => {
    const renewal = message("request", { ciaddr: ip("10.0.0.10") });
    const unicast = { ...RECEIVED_ON, broadcast: false };
    expect(describeDecision(renewal, unicast, tell(server(), renewal)).facts).toMatchObject({
      state: "renewing",
    });
    expect(eventOf("request").facts).not.toHaveProperty("state");
    expect(eventOf("discover").facts).not.toHaveProperty("state");
  });

  it("explains silence, and shows a port that is no text as hexadecimal", () => {
    const options = [[OPTION.relayAgent, Uint8Array.of(1, 3, 0, 7, 255)] as const];
    expect(eventOf("discover", { giaddr: ip("172.16.0.1"), options })).toMatchObject({
      kind: "dhcp.silent",
      summary: "DISCOVER: 172.16.0.1 is in no subnet that is served here",
      facts: { circuit: "0007ff", relay: "172.16.0.1" },
    });
  });

  it.each<[string, Sent]>([
    ["other-server", { options: [asksFor("10.0.0.10"), toServer("10.0.0.9")] }],
    ["no-subnet", { giaddr: ip("172.16.0.1"), options: [asksFor("172.16.0.10")] }],
  ])("names why there is no answer as a word for programs: %s", (because, sent) => {
    expect(eventOf("request", sent).facts).toMatchObject({ because });
  });

  it("names a dry pool so, and why there is nothing to boot", () => {
    const dry = tell(server({ pools: [] }), message("discover"));
    expect(describeDecision(message("discover"), BROADCAST, dry).facts).toMatchObject({
      because: "pool-empty",
    });
    const boot = {
      file: null,
      options: new Map(),
      nothingBecause: "no-loader",
      reason: "none here",
    } as const;
    const without = tell(server({}, { bootFieldsFor: () => boot }), message("discover"));
    expect(describeDecision(message("discover"), BROADCAST, without)).toMatchObject({
      kind: "dhcp.offer",
      facts: { because: "no-loader" },
    });
    expect(eventOf("discover").facts).not.toHaveProperty("because");
    expect(eventOf("release").facts).not.toHaveProperty("because");
  });

  it("keeps no more of a stranger's text than a line", () => {
    const long: Sent = {
      options: [
        [OPTION.vendorClass, textValue("v".repeat(1000))],
        [OPTION.userClass, textValue("u".repeat(1000))],
      ],
    };
    const { vendorClass, userClass } = eventOf("discover", long).facts;
    expect([String(vendorClass).length, String(userClass).length]).toEqual([128, 128]);
  });
});

describe("what concerns the site", () => {
  it("names a dry pool, its use, and what to do", () => {
    const figures = {
      network: "10.0.0.0/24",
      size: 11,
      leased: 9,
      offered: 1,
      resting: 1,
      nextFreeAt: NOW + 60_000,
    };
    expect(describePoolEmpty(figures, RECEIVED_ON, NOW)).toEqual({
      kind: "dhcp.pool-empty",
      summary:
        "10.0.0.0/24 has no address left: 9 of 11 leased, 1 offered, 1 resting. Make its pools larger, or its leases shorter",
      facts: {
        interface: "lan0",
        network: "10.0.0.0/24",
        size: 11,
        leased: 9,
        offered: 1,
        resting: 1,
        nextFreeIn: "1 min",
      },
    });
  });

  it("names an address that somebody uses without a lease", () => {
    const change = conflictAt({ address: ip("10.0.0.10"), client: machine(1) }, NOW);
    if (change.kind !== "conflict") throw new Error("no conflict");
    expect(describeConflict(change, RECEIVED_ON, "a probe")).toEqual({
      kind: "dhcp.conflict",
      summary:
        "somebody uses 10.0.0.10 without a lease (a probe): it is given to nobody for 10 min. Find that machine, or exclude the address",
      facts: { address: "10.0.0.10", interface: "lan0", foundBy: "a probe" },
    });
  });
});
