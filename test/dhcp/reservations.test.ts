import { describe, expect, it } from "vitest";
import { macFromBytes } from "../../src/core/mac.ts";
import { type ClassMatch, type ClientClass, matchesClass } from "../../src/dhcp/client-class.ts";
import { OPTION, type OptionEntry, readText, textValue } from "../../src/dhcp/options.ts";
import type { ReservedFor } from "../../src/dhcp/subnet.ts";
import {
  answer,
  asksFor,
  CLIENT,
  ip,
  leaseTo,
  message,
  NOW,
  OTHER,
  replyOf,
  server,
  subnet,
  tell,
  toServer,
} from "./helpers/server.ts";

const MAC = macFromBytes(CLIENT);
const byMac: ReservedFor = { kind: "mac", mac: MAC };
const byClientId: ReservedFor = { kind: "client-id", clientId: "ff00aa" };
const byCircuit = (remoteId: string | null = null): ReservedFor => ({
  kind: "circuit",
  circuitId: Buffer.from("port7").toString("hex"),
  remoteId,
});
const clientId: OptionEntry = [OPTION.clientIdentifier, Uint8Array.of(0xff, 0, 0xaa)];
const onPort7: OptionEntry = [OPTION.relayAgent, Buffer.from("\x01\x05port7\x02\x03tor", "latin1")];

function reserve(
  client: ReservedFor,
  address: string,
  more: { hostname?: string; options?: OptionEntry[] } = {},
) {
  return { client, address: ip(address), hostname: more.hostname ?? null, options: more.options ?? [] };
}

describe("a reservation", () => {
  it.each([
    ["a hardware address", byMac, []],
    ["a client identifier", byClientId, [clientId]],
    ["a relay's port", byCircuit(), [onPort7]],
    ["a relay's port of one relay", byCircuit(Buffer.from("tor").toString("hex")), [onPort7]],
  ])("by %s gives its address to that machine alone", (_by, client, options) => {
    const state = server({ reservations: [reserve(client, "10.0.0.99")] });
    expect(leaseTo(state, {}, options)).toBe("ack 10.0.0.99");
    expect(leaseTo(state, { chaddr: OTHER })).toBe("ack 10.0.0.10");
    const wish = message("discover", { chaddr: OTHER, options: [asksFor("10.0.0.99")] });
    expect(answer(tell(state, wish))).toBe("offer 10.0.0.10");
  });

  it("by hardware address comes before one by client identifier, and that before one by port", () => {
    const all = [
      reserve(byCircuit(), "10.0.0.97"),
      reserve(byClientId, "10.0.0.98"),
      reserve(byMac, "10.0.0.99"),
    ];
    const given = [all, all.slice(0, 2), all.slice(0, 1)].map(reservations =>
      leaseTo(server({ reservations }), {}, [clientId, onPort7]),
    );
    expect(given).toEqual(["ack 10.0.0.99", "ack 10.0.0.98", "ack 10.0.0.97"]);
  });

  it("by port and relay comes before one by port alone", () => {
    const reservations = [
      reserve(byCircuit(), "10.0.0.97"),
      reserve(byCircuit(Buffer.from("tor").toString("hex")), "10.0.0.98"),
    ];
    expect(leaseTo(server({ reservations }), {}, [onPort7])).toBe("ack 10.0.0.98");
  });

  it("by port holds for renewals too, which go past the relay and carry no option 82", () => {
    const state = server({ reservations: [reserve(byCircuit(), "10.0.0.97")] });
    leaseTo(state, {}, [onPort7]);
    const renewal = message("request", { ciaddr: ip("10.0.0.97") });
    expect(answer(tell(state, renewal))).toBe("ack 10.0.0.97");
    expect(answer(tell(state, { ...renewal, chaddr: OTHER }))).toBe("nak");
  });

  it("that somebody still holds gives way to the pool, says why, and is taken up at the next renewal", () => {
    const reservations = [reserve(byMac, "10.0.0.99")];
    const state = server({ reservations });
    const rival = macFromBytes(OTHER);
    const lease = { address: ip("10.0.0.99"), client: rival, hostname: null, expiresAt: NOW + 90_000 };
    state.leases.apply({ kind: "lease", at: NOW, lease });
    const offer = tell(state, message("discover"));
    expect(answer(offer)).toBe("offer 10.0.0.10");
    expect(offer.reason).toContain(`its reserved address 10.0.0.99 is still held by ${rival} for 1 min 30 s`);
    expect(leaseTo(state)).toBe("ack 10.0.0.10");
    const renewal = message("request", { ciaddr: ip("10.0.0.10") });
    expect(answer(tell(state, renewal))).toBe("ack 10.0.0.10");
    expect(answer(tell(state, renewal, { now: NOW + 90_000 }))).toBe("nak");
    expect(answer(tell(state, message("discover"), { now: NOW + 90_000 }))).toBe("offer 10.0.0.99");
  });

  it("tells its machine the host name, and keeps it with the lease; no other machine is told one", () => {
    const state = server({ reservations: [reserve(byMac, "10.0.0.99", { hostname: "node-1" })] });
    const called: OptionEntry = [OPTION.hostname, textValue("localhost")];
    expect(readText(replyOf(tell(state, message("discover", { options: [called] }))).options, 12)).toBe(
      "node-1",
    );
    expect(
      replyOf(tell(state, message("discover", { chaddr: OTHER, options: [called] }))).options.has(12),
    ).toBe(false);
    leaseTo(state, {}, [called]);
    expect(state.leases.liveLeases(NOW)).toMatchObject([{ hostname: "node-1" }]);
  });
});

describe("configured options", () => {
  const option = (code: number, text: string): OptionEntry => [code, textValue(text)];
  const classOf = (name: string, match: ClassMatch, ...options: OptionEntry[]): ClientClass => ({
    name,
    match,
    options,
  });

  it("of the machine come before its class's, those before its subnet's, and the first class before the next", () => {
    const state = server(
      {
        options: [option(15, "subnet"), option(66, "subnet"), option(17, "subnet"), option(224, "subnet")],
        reservations: [reserve(byMac, "10.0.0.99", { options: [option(15, "machine")] })],
      },
      {
        classes: [
          classOf("first", {}, option(15, "first"), option(66, "first")),
          classOf("second", {}, option(66, "second"), option(17, "second")),
          classOf("another's", { macPrefix: "aa:bb" }, option(224, "never")),
        ],
      },
    );
    const { options } = replyOf(tell(state, message("discover")));
    expect([15, 66, 17, 224].map(code => readText(options, code))).toEqual([
      "machine",
      "first",
      "second",
      "subnet",
    ]);
  });

  it("take the place of the subnet's name servers, but never of what firmware boots by", () => {
    const boot = { file: "x", options: new Map([[60, textValue("HTTPClient")]]), reason: "" };
    const dns: OptionEntry = [OPTION.dns, Uint8Array.of(9, 9, 9, 9)];
    const state = server({ options: [dns, option(60, "PXEClient")] }, { bootFieldsFor: () => boot });
    const { options } = replyOf(tell(state, message("discover")));
    expect(options.get(OPTION.dns)).toEqual(dns[1]);
    expect(readText(options, OPTION.vendorClass)).toBe("HTTPClient");
  });

  it("are told to INFORM too", () => {
    const state = server({ options: [option(15, "example.org")] });
    const { options } = replyOf(tell(state, message("inform", { ciaddr: ip("10.0.0.77") })));
    expect(readText(options, 15)).toBe("example.org");
    expect(options.has(OPTION.leaseSeconds)).toBe(false);
  });
});

describe("matchesClass()", () => {
  const client = message("discover", {
    options: [
      [OPTION.vendorClass, textValue("PXEClient:Arch:00007:UNDI:003016")],
      [OPTION.clientArchitecture, Uint8Array.of(0, 7)],
      [OPTION.userClass, textValue("iPXE")],
    ],
  });
  const twoClasses = new Map([[OPTION.userClass, Buffer.from("\x04iPXE\x03lab")]]);

  it.each<[string, ClassMatch, boolean]>([
    ["an empty match", {}, true],
    ["the beginning of option 60", { vendorClass: "PXEClient" }, true],
    ["another vendor class", { vendorClass: "HTTPClient" }, false],
    ["option 93", { architecture: 7 }, true],
    ["another architecture", { architecture: 0 }, false],
    ["a user class as iPXE sends it", { userClass: "iPXE" }, true],
    ["only the beginning of a user class", { userClass: "iPX" }, false],
    ["a hardware address's beginning", { macPrefix: "52:54:00" }, true],
    ["another beginning", { macPrefix: "b8:27:eb" }, false],
    ["all of several", { vendorClass: "PXEClient", architecture: 7, macPrefix: "52:54" }, true],
    ["not all of several", { vendorClass: "PXEClient", architecture: 9 }, false],
  ])("knows %s", (_name, match, expected) => {
    expect(matchesClass(match, MAC, client.options)).toBe(expected);
  });

  it("finds a user class among several (RFC 3004 §4)", () => {
    expect(matchesClass({ userClass: "lab" }, MAC, twoClasses)).toBe(true);
    expect(matchesClass({ userClass: "iPXE" }, MAC, twoClasses)).toBe(true);
    expect(matchesClass({ userClass: "la" }, MAC, twoClasses)).toBe(false);
  });

  it("knows no client that says nothing of itself", () => {
    expect(matchesClass({ vendorClass: "PXEClient" }, MAC, new Map())).toBe(false);
    expect(matchesClass({ userClass: "" }, MAC, new Map())).toBe(false);
  });
});

describe("a machine whose network card was replaced", () => {
  it("takes over its reservation by client identifier once the old card's lease has run out", () => {
    const state = server({ reservations: [reserve(byClientId, "10.0.0.98")] });
    leaseTo(state, {}, [clientId]);
    expect(leaseTo(state, { chaddr: OTHER }, [clientId])).toBe("ack 10.0.0.10");
    const later = { now: NOW + subnet().leaseSeconds * 1000 };
    const discover = message("discover", { chaddr: OTHER, options: [clientId] });
    expect(answer(tell(state, discover, later))).toBe("offer 10.0.0.98");
    const request = message("request", {
      chaddr: OTHER,
      options: [clientId, asksFor("10.0.0.98"), toServer("10.0.0.1")],
    });
    expect(answer(tell(state, request, later))).toBe("ack 10.0.0.98");
  });
});
