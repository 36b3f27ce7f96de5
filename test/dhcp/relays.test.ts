import { describe, expect, it } from "vitest";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import { ipv4Value, OPTION, type OptionEntry, readIpv4 } from "../../src/dhcp/options.ts";
import { decodePacket, encodePacket } from "../../src/dhcp/packet.ts";
import { readRelayAgent } from "../../src/dhcp/relay-agent.ts";
import { chooseDestination } from "../../src/dhcp/transmit.ts";
import {
  answer,
  asksFor,
  ip,
  message,
  replyOf,
  type Sent,
  server,
  tell,
  toServer,
} from "./helpers/server.ts";

type SubOption = readonly [code: number, value: Uint8Array];

function relayAgent(...subOptions: readonly SubOption[]): OptionEntry {
  const bytes = subOptions.flatMap(([code, value]) => [code, value.length, ...value]);
  return [OPTION.relayAgent, Uint8Array.from(bytes)];
}

const circuit: SubOption = [1, Buffer.from("eth0/7")];
const linkSelection = (address: string): SubOption => [5, ipv4Value(ip(address))];
const serverOverride = (address: string): SubOption => [11, ipv4Value(ip(address))];
const THROUGH_RELAY = { giaddr: ip("10.9.0.1") };

describe("a relayed DHCP client", () => {
  it("is answered by its relay's network, through the relay, with option 82 unchanged (RFC 3046 §2.2)", () => {
    const odd: OptionEntry = [OPTION.relayAgent, Uint8Array.of(1, 2, 65, 66, 99, 0, 151, 3, 0, 1)];
    const reply = replyOf(tell(server(), message("discover", { ...THROUGH_RELAY, options: [odd] })));
    expect(answer(tell(server(), message("discover", THROUGH_RELAY)))).toBe("offer 10.9.0.10");
    expect(chooseDestination(reply)).toEqual({ address: ip("10.9.0.1"), port: 67 });
    expect([...reply.options].at(-1)).toEqual(odd);
  });

  it.each<[string, Sent, string]>([
    [
      "82.5 before giaddr (RFC 3527 §3)",
      { giaddr: ip("192.168.0.1"), options: [relayAgent(circuit, linkSelection("10.9.0.77"))] },
      "offer 10.9.0.10",
    ],
    [
      "82.5 before the client's own 118 (RFC 3527 §3)",
      {
        giaddr: ip("192.168.0.1"),
        options: [relayAgent(linkSelection("10.9.0.0")), [OPTION.subnetSelection, ipv4Value(ip("10.0.0.0"))]],
      },
      "offer 10.9.0.10",
    ],
    [
      "118 before giaddr (RFC 3011 §2)",
      { ...THROUGH_RELAY, options: [[OPTION.subnetSelection, ipv4Value(ip("10.0.0.0"))]] },
      "offer 10.0.0.10",
    ],
    [
      "the wire that it is on, where it names another network by 118 and no relay speaks for it",
      { options: [[OPTION.subnetSelection, ipv4Value(ip("10.9.0.0"))]] },
      "offer 10.0.0.10",
    ],
    [
      "the wire that it is on, where it names another network by 82.5 and no relay speaks for it",
      { options: [relayAgent(circuit, linkSelection("10.9.0.0"))] },
      "offer 10.0.0.10",
    ],
    [
      "silence for a 118 that is not served, never another network (RFC 3011 §2)",
      { ...THROUGH_RELAY, options: [[OPTION.subnetSelection, ipv4Value(ip("172.16.0.0"))]] },
      "172.16.0.0 is in no subnet that is served here",
    ],
    [
      "giaddr, where 82.5 is malformed",
      { ...THROUGH_RELAY, options: [relayAgent([5, Uint8Array.of(10, 0)])] },
      "offer 10.9.0.10",
    ],
  ])("gets an address by %s", (_rule, sent, expected) => {
    expect(answer(tell(server(), message("discover", sent)))).toBe(expected);
  });

  it("still is answered at giaddr when 82.5 names its network (RFC 3527 §3)", () => {
    const sent: Sent = { giaddr: ip("192.168.0.1"), options: [relayAgent(linkSelection("10.9.0.77"))] };
    const reply = replyOf(tell(server(), message("discover", sent)));
    expect(chooseDestination(reply)).toEqual({ address: ip("192.168.0.1"), port: 67 });
  });

  it("gets 118 back where it counts (RFC 3011 §2), but not in a NAK (RFC 2131 table 3)", () => {
    const selection: OptionEntry = [OPTION.subnetSelection, ipv4Value(ip("10.9.0.0"))];
    const sent = { giaddr: ip("10.0.0.254"), options: [selection] };
    const offer = replyOf(tell(server(), message("discover", sent)));
    expect(offer.options.get(118)).toEqual(selection[1]);
    const onOurWire = replyOf(tell(server(), message("discover", { options: [selection] })));
    expect(onOurWire.options.has(118)).toBe(false);
    const wrong = message("request", { ...sent, options: [selection, asksFor("10.0.0.10")] });
    expect([...replyOf(tell(server(), wrong)).options.keys()]).toEqual([53, 54, 56]);
  });

  it("takes its relay for the server where the relay asks so, and us by that name (RFC 5107)", () => {
    const options = [relayAgent(circuit, serverOverride("10.9.0.1"))];
    const state = server();
    const offer = replyOf(tell(state, message("discover", { ...THROUGH_RELAY, options })));
    expect(readIpv4(offer.options, OPTION.serverIdentifier)).toBe(ip("10.9.0.1"));
    // Boot files do not come from the relay.
    expect(formatIpv4(offer.siaddr)).toBe("10.0.0.1");
    const request = message("request", {
      ...THROUGH_RELAY,
      options: [asksFor("10.9.0.10"), toServer("10.9.0.1"), ...options],
    });
    expect(answer(tell(state, request))).toBe("ack 10.9.0.10");
    const decline = message("decline", {
      ...THROUGH_RELAY,
      options: [asksFor("10.9.0.10"), toServer("10.9.0.1"), ...options],
    });
    expect(tell(state, decline).change).toMatchObject({ kind: "decline" });
  });

  it("counts its relay's name for a stranger's where the relay did not ask so", () => {
    const request = message("request", {
      ...THROUGH_RELAY,
      options: [asksFor("10.9.0.10"), toServer("10.9.0.1"), relayAgent(circuit)],
    });
    expect(answer(tell(server(), request))).toBe("the client took the offer of another server, 10.9.0.1");
  });

  it.each(["discover", "request"] as const)(
    "has its %s refused or offered with option 82 as the last of the options field, as a relay looks for it there",
    type => {
      const option = relayAgent(circuit, [2, new Uint8Array(200)]);
      const sent = message(type, { ...THROUGH_RELAY, options: [asksFor("192.168.1.5"), option] });
      const decision = tell(server(), sent);
      const bytes = Buffer.from(encodePacket(replyOf(decision), 576 - 28));
      const encoded = Buffer.from([82, option[1].length, ...option[1], 255]);
      expect(bytes.indexOf(encoded)).toBeGreaterThan(240);
      expect(decodePacket(bytes).options.get(82)).toEqual(option[1]);
    },
  );
});

describe("readRelayAgent()", () => {
  it("takes what is malformed for absent, at every place where the option can be cut", () => {
    const [, whole] = relayAgent(circuit, linkSelection("10.9.0.77"));
    for (let length = 0; length < whole.length; length++) {
      const read = readRelayAgent(new Map([[82, whole.subarray(0, length)]]));
      expect(read?.linkSelection).toBeUndefined();
    }
    expect(readRelayAgent(new Map([[82, whole]]))?.linkSelection).toBe(ip("10.9.0.77"));
  });
});
