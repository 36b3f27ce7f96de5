import { describe, expect, it } from "vitest";
import { formatIpv4, parseIpv4, parseIpv4Network, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { macFromBytes } from "../../src/core/mac.ts";
import { type DhcpDecision, type DhcpState, decideDhcp } from "../../src/dhcp/decide.ts";
import { LeaseIndex } from "../../src/dhcp/leases.ts";
import { ipv4Value, OPTION, readIpv4, readText, readUint8, textValue } from "../../src/dhcp/options.ts";
import { type DhcpMessage, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import type { Subnet } from "../../src/dhcp/subnet.ts";
import { chooseDestination } from "../../src/dhcp/transmit.ts";

const NOW = 1_000_000;
const ip = (text: string) => {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
};
const SERVER = ip("10.0.0.1");
const RECEIVED_ON = { interfaceName: "lan0", address: SERVER };
const CLIENT = Uint8Array.of(0x52, 0x54, 0, 0, 0, 1);
const OTHER = Uint8Array.of(0x52, 0x54, 0, 0, 0, 2);

function subnet(cidr: string, first: string, last: string): Subnet {
  const network = parseIpv4Network(cidr);
  if (network === undefined) throw new Error(`not a network: ${cidr}`);
  const pools = [{ first: ip(first), last: ip(last) }];
  const router = ip("10.0.0.1");
  return {
    network,
    pools,
    exclusions: [],
    reservations: [],
    router,
    dns: [router],
    leaseSeconds: 3600,
    options: [],
  };
}

/** A server of a local network and one behind a relay. */
function server(): DhcpState {
  const subnets = [
    subnet("10.0.0.0/24", "10.0.0.10", "10.0.0.20"),
    subnet("10.9.0.0/24", "10.9.0.10", "10.9.0.20"),
  ];
  return {
    leases: new LeaseIndex(subnets, [SERVER]),
    classes: [],
    bootFieldsFor: () => ({ file: "undionly.kpxe", options: new Map(), reason: "PXE" }),
  };
}

interface Sent extends Partial<Omit<DhcpMessage, "options">> {
  readonly options?: readonly (readonly [number, Uint8Array])[];
}

function message(type: keyof typeof MESSAGE_TYPE, { options = [], ...fields }: Sent = {}): DhcpMessage {
  return {
    op: 1,
    htype: 1,
    hops: 0,
    xid: 0x1234,
    secs: 4,
    broadcast: false,
    ciaddr: UNSPECIFIED,
    yiaddr: UNSPECIFIED,
    siaddr: UNSPECIFIED,
    giaddr: UNSPECIFIED,
    chaddr: CLIENT,
    sname: "",
    file: "",
    ...fields,
    options: new Map([[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[type])], ...options]),
  };
}

const asksFor = (address: string) => [OPTION.requestedAddress, ipv4Value(ip(address))] as const;
const toServer = (address: string) => [OPTION.serverIdentifier, ipv4Value(ip(address))] as const;

/** Decides and applies, as the server does. */
function tell(state: DhcpState, sent: DhcpMessage, now = NOW): DhcpDecision {
  const decision = decideDhcp(sent, RECEIVED_ON, state, now);
  if (decision.change !== null) state.leases.apply(decision.change);
  return decision;
}

/** "ack 10.0.0.10", "nak", or why there is silence. */
function answer(decision: DhcpDecision): string {
  if (decision.kind === "silent") return decision.reason;
  const type = readUint8(decision.message.options, OPTION.messageType);
  const name = Object.entries(MESSAGE_TYPE).find(([, code]) => code === type)?.[0];
  return decision.message.yiaddr === UNSPECIFIED
    ? `${name}`
    : `${name} ${formatIpv4(decision.message.yiaddr)}`;
}

function replyOf(decision: DhcpDecision): DhcpMessage {
  if (decision.kind !== "reply") throw new Error(`silent: ${decision.reason}`);
  return decision.message;
}

/** A server whose client holds 10.0.0.10. */
function serverWithLease(): DhcpState {
  const state = server();
  tell(state, message("discover"));
  tell(state, message("request", { options: [asksFor("10.0.0.10"), toServer("10.0.0.1")] }));
  return state;
}

describe("decideDhcp()", () => {
  it("offers an address with all that the client needs", () => {
    const reply = replyOf(tell(server(), message("discover")));
    expect(reply).toMatchObject({ op: 2, xid: 0x1234, file: "undionly.kpxe", siaddr: SERVER, secs: 0 });
    expect(formatIpv4(reply.yiaddr)).toBe("10.0.0.10");
    expect(readIpv4(reply.options, OPTION.serverIdentifier)).toBe(SERVER);
    expect(
      Object.fromEntries([1, 3, 6, 51, 58, 59].map(code => [code, readIpv4(reply.options, code)])),
    ).toEqual({
      1: ip("255.255.255.0"),
      3: SERVER,
      6: SERVER,
      51: 3600,
      58: 1800,
      59: 3150,
    });
  });

  it("holds an offered address for its client, and gives it to nobody else meanwhile", () => {
    const state = server();
    tell(state, message("discover"));
    expect(answer(tell(state, message("discover", { chaddr: OTHER })))).toBe("offer 10.0.0.11");
    expect(answer(tell(state, message("discover")))).toBe("offer 10.0.0.10");
  });

  it.each([
    // RFC 2131 §4.3.2: which of the four states a REQUEST comes from shows in what it carries.
    [
      "selecting: it took our offer",
      { options: [asksFor("10.0.0.10"), toServer("10.0.0.1")] },
      "ack 10.0.0.10",
    ],
    [
      "selecting: it took another's",
      { options: [asksFor("10.0.0.10"), toServer("10.0.0.2")] },
      "the client took the offer of another server, 10.0.0.2",
    ],
    [
      "selecting: an address that it may not have",
      { options: [asksFor("10.0.0.99"), toServer("10.0.0.1")] },
      "nak",
    ],
    [
      "selecting: no address",
      { options: [toServer("10.0.0.1")] },
      "its REQUEST names no address (RFC 2131 table 5)",
    ],
    ["init-reboot: its own address", { options: [asksFor("10.0.0.10")] }, "ack 10.0.0.10"],
    ["init-reboot: another address of this network", { options: [asksFor("10.0.0.11")] }, "nak"],
    ["init-reboot: from another network", { options: [asksFor("192.168.1.5")] }, "nak"],
    [
      "init-reboot: nothing is known of it",
      { chaddr: OTHER, options: [asksFor("10.0.0.12")] },
      "nothing is known of its lease of 10.0.0.12",
    ],
    ["renewing or rebinding: its own address", { ciaddr: ip("10.0.0.10") }, "ack 10.0.0.10"],
    ["renewing: an address that another holds", { chaddr: OTHER, ciaddr: ip("10.0.0.10") }, "nak"],
    [
      "renewing: a lease that we forgot, still free",
      { chaddr: OTHER, ciaddr: ip("10.0.0.15") },
      "ack 10.0.0.15",
    ],
    ["renewing: from another network", { ciaddr: ip("192.168.1.5") }, "nak"],
    ["neither a server nor an address", {}, "its REQUEST names neither a server nor an address"],
  ])("answers a REQUEST, %s", (_state, sent, expected) => {
    expect(answer(tell(serverWithLease(), message("request", sent)))).toBe(expected);
  });

  it("gives an offered address back at once when the client takes another server's offer", () => {
    const state = server();
    tell(state, message("discover"));
    tell(state, message("request", { options: [asksFor("10.0.0.10"), toServer("10.0.0.2")] }));
    const wish = message("discover", { chaddr: OTHER, options: [asksFor("10.0.0.10")] });
    expect(answer(tell(state, wish))).toBe("offer 10.0.0.10");
  });

  it("keeps a lease when its client asks again from the start and then takes another server", () => {
    const state = serverWithLease();
    tell(state, message("discover"));
    tell(state, message("request", { options: [asksFor("10.0.0.10"), toServer("10.0.0.2")] }));
    expect(state.leases.liveLeases(NOW)).toHaveLength(1);
  });

  it("takes a released address back, but not from a stranger", () => {
    const state = serverWithLease();
    tell(state, message("release", { chaddr: OTHER, ciaddr: ip("10.0.0.10") }));
    expect(state.leases.liveLeases(NOW)).toHaveLength(1);
    tell(state, message("release", { ciaddr: ip("10.0.0.10") }));
    expect(state.leases.liveLeases(NOW)).toHaveLength(0);
  });

  it("gives a declined address to nobody for ten minutes", () => {
    const state = serverWithLease();
    tell(state, message("decline", { options: [asksFor("10.0.0.10"), toServer("10.0.0.1")] }));
    expect(answer(tell(state, message("discover")))).toBe("offer 10.0.0.11");
    const later = message("discover", { chaddr: OTHER, options: [asksFor("10.0.0.10")] });
    expect(answer(tell(state, later, NOW + 600_001))).toBe("offer 10.0.0.10");
  });

  it("answers INFORM without an address or lease times (RFC 2131 §4.3.5)", () => {
    const reply = replyOf(tell(server(), message("inform", { ciaddr: ip("10.0.0.77") })));
    expect([...reply.options.keys()]).toEqual([53, 54, 1, 3, 6]);
    expect(chooseDestination(reply)).toEqual({ address: ip("10.0.0.77"), port: 68 });
  });

  it("serves a relayed client from the relay's network, through the relay, and repeats option 82 last and whole", () => {
    const relayAgent = Uint8Array.from({ length: 300 }, (_, index) => index);
    const sent = message("discover", {
      giaddr: ip("10.9.0.1"),
      options: [
        [OPTION.relayAgent, relayAgent],
        [OPTION.vendorClass, textValue("x")],
      ],
    });
    const reply = replyOf(tell(server(), sent));
    expect(formatIpv4(reply.yiaddr)).toBe("10.9.0.10");
    expect([...reply.options].at(-1)).toEqual([OPTION.relayAgent, relayAgent]);
    expect(chooseDestination(reply)).toEqual({ address: ip("10.9.0.1"), port: 67 });
  });

  it("stays silent towards a relay of a network that it does not serve", () => {
    expect(answer(tell(server(), message("discover", { giaddr: ip("172.16.0.1") })))).toBe(
      "172.16.0.1 is in no subnet that is served here",
    );
  });

  it("repeats 61 (RFC 6842), and 97 only where it is 17 bytes that begin with 0 (RFC 4578 §2.3)", () => {
    const uuid = new Uint8Array(17);
    const identifier = Uint8Array.of(1, 2, 3);
    const echoed = (clientUuid: Uint8Array) => {
      const sent = message("discover", {
        options: [
          [61, identifier],
          [97, clientUuid],
        ],
      });
      const { options } = replyOf(tell(server(), sent));
      return [options.get(61), options.get(97)];
    };
    expect(echoed(uuid)).toEqual([identifier, uuid]);
    expect(echoed(new Uint8Array(16))).toEqual([identifier, undefined]);
  });

  it("has a relay broadcast a NAK, and says nothing in it but who and why", () => {
    const sent = message("request", { giaddr: ip("10.9.0.1"), options: [asksFor("192.168.1.5")] });
    const reply = replyOf(tell(server(), sent));
    expect(reply.broadcast).toBe(true);
    expect([...reply.options.keys()]).toEqual([53, 54, 56]);
    expect(readText(reply.options, OPTION.message)).toContain("192.168.1.5 belongs to another network");
  });

  it.each([
    ["a server's own reply", { op: 2 }, "not a client's message"],
    [
      "Infiniband",
      { htype: 32, chaddr: new Uint8Array() },
      "hardware type 32 with 0 address bytes is InfiniBand, which must name itself by option 61 (RFC 4390 §2.1)",
    ],
  ])("stays silent for %s", (_name, fields, reason) => {
    expect(answer(tell(server(), message("discover", fields)))).toBe(reason);
  });

  it("puts an URL that is too long for the field into option 67, and ends it with NUL for old ROMs", () => {
    const url = `http://10.0.0.1:8091/${"x".repeat(120)}`;
    const state = { ...server(), bootFieldsFor: () => ({ file: url, options: new Map(), reason: "" }) };
    const reply = replyOf(tell(state, message("discover")));
    expect(reply.file).toBe("");
    expect(Buffer.from(reply.options.get(OPTION.bootFile) ?? []).toString()).toBe(`${url}\0`);
  });

  it("shortens what a client calls itself", () => {
    const state = server();
    const options = [
      asksFor("10.0.0.10"),
      toServer("10.0.0.1"),
      [OPTION.hostname, textValue("h".repeat(200))] as const,
    ];
    tell(state, message("request", { options }));
    expect(
      state.leases.recordOf(state.leases.subnets[0] ?? fail(), macFromBytes(CLIENT))?.hostname,
    ).toHaveLength(63);
  });
});

describe("chooseDestination()", () => {
  const reply = (type: keyof typeof MESSAGE_TYPE, fields: Sent = {}) =>
    chooseDestination(message(type, fields));
  const broadcast = { address: ip("255.255.255.255"), port: 68 };

  // RFC 2131 §4.1, in the order of its sentences.
  it.each([
    [
      "through the relay",
      reply("offer", { giaddr: ip("10.9.0.1"), ciaddr: ip("10.9.0.5") }),
      { address: ip("10.9.0.1"), port: 67 },
    ],
    [
      "to the client's own address",
      reply("ack", { ciaddr: ip("10.0.0.5") }),
      { address: ip("10.0.0.5"), port: 68 },
    ],
    ["to everybody, as asked by the broadcast flag", reply("offer", { broadcast: true }), broadcast],
    ["to everybody, for want of raw sockets", reply("offer"), broadcast],
    ["to everybody, for a NAK", reply("nak", { ciaddr: ip("10.0.0.5") }), broadcast],
  ])("sends %s", (_name, destination, expected) => {
    expect(destination).toEqual(expected);
  });
});

function fail(): never {
  throw new Error("no subnet");
}
