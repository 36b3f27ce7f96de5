import { describe, expect, it } from "vitest";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import { macFromBytes } from "../../src/core/mac.ts";
import { CONFLICT_RESTS_MS, conflictAt, revocationOf } from "../../src/dhcp/lease-change.ts";
import { LeaseIndex } from "../../src/dhcp/leases.ts";
import { OPTION, readIpv4, readText, textValue } from "../../src/dhcp/options.ts";
import type { MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import { chooseDestination } from "../../src/dhcp/transmit.ts";
import {
  answer,
  asksFor,
  CLIENT,
  ip,
  leaseTo,
  localSubnet,
  message,
  NOW,
  OTHER,
  replyOf,
  SERVER,
  type Sent,
  server,
  serverWithLease,
  subnet,
  tell,
  toServer,
} from "./helpers/server.ts";

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
    ["renewing: its own address", { ciaddr: ip("10.0.0.10") }, "ack 10.0.0.10"],
    [
      "renewing: its own address, with a server identifier that it should not send",
      { ciaddr: ip("10.0.0.10"), options: [toServer("10.0.0.1")] },
      "ack 10.0.0.10",
    ],
    ["renewing: an address of no pool", { chaddr: OTHER, ciaddr: ip("10.0.0.99") }, "nak"],
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

  it.each([
    ["its own address", { ciaddr: ip("10.0.0.10") }, "ack 10.0.0.10"],
    ["an address of our pools that another holds", { chaddr: OTHER, ciaddr: ip("10.0.0.10") }, "nak"],
    [
      "an address of this network that we give to nobody",
      { chaddr: OTHER, ciaddr: ip("10.0.0.99") },
      "it rebinds 10.0.0.99, which another server may have given it",
    ],
    // The client was carried from a network that we serve too: its broadcast is heard where it is now.
    ["an address of another network of ours", { ciaddr: ip("10.9.0.10") }, "nak"],
    ["a foreign address, through a relay", { ciaddr: ip("10.0.0.10"), giaddr: ip("10.9.0.1") }, "nak"],
  ])("answers a REQUEST, rebinding: %s", (_state, sent, expected) => {
    expect(answer(tell(serverWithLease(), message("request", sent), { broadcast: true }))).toBe(expected);
  });

  it("answers a unicast renewal from the network of its address, which no relay tells of", () => {
    const renewal = message("request", { ciaddr: ip("10.9.0.15") });
    expect(answer(tell(server(), renewal, { broadcast: false }))).toBe("ack 10.9.0.15");
  });

  it.each([
    ["renewing", { ciaddr: ip("10.0.0.10") }],
    ["init-reboot", { options: [asksFor("10.0.0.10")] }],
  ])("refuses a client whose lease an operator took back, %s, until it begins anew", (_state, sent) => {
    const state = serverWithLease();
    const lease = state.leases.liveLeaseAt(ip("10.0.0.10"), NOW);
    if (lease === undefined) throw new Error("no lease");
    state.leases.apply(revocationOf(lease, NOW));
    expect(state.leases.liveLeases(NOW)).toEqual([]);
    const refusal = replyOf(tell(state, message("request", sent)));
    expect(readText(refusal.options, OPTION.message)).toBe("an operator took 10.0.0.10 back");
    expect(leaseTo(state)).toBe("ack 10.0.0.10");
    expect(answer(tell(state, message("request", { ciaddr: ip("10.0.0.10") })))).toBe("ack 10.0.0.10");
  });

  it("lets another machine have an address that an operator took back, once nothing else is free", () => {
    const state = server({ pools: [{ first: ip("10.0.0.10"), last: ip("10.0.0.10") }] });
    leaseTo(state);
    const [lease] = state.leases.liveLeases(NOW);
    if (lease === undefined) throw new Error("no lease");
    state.leases.apply(revocationOf(lease, NOW));
    expect(leaseTo(state, { chaddr: OTHER })).toBe("ack 10.0.0.10");
    expect(answer(tell(state, message("request", { ciaddr: ip("10.0.0.10") })))).toBe("nak");
  });

  it("has an address probed before its first offer, and again until a probe has found it free", () => {
    const state = server();
    const probeOf = (now = NOW) => {
      const decision = tell(state, message("discover"), { now });
      if (decision.kind !== "reply") throw new Error(decision.reason);
      return { decision, probe: decision.probe === null ? null : formatIpv4(decision.probe) };
    };
    expect(probeOf().probe).toBe("10.0.0.10");
    const { decision, probe } = probeOf();
    expect(probe).toBe("10.0.0.10");
    if (decision.change?.kind !== "offer") throw new Error("no offer");
    state.leases.apply({ ...decision.change, probed: true });
    expect(probeOf().probe).toBeNull();
    // Offered an hour ago and not taken: somebody may have sat down there since.
    expect(probeOf(NOW + 3_600_000).probe).toBe("10.0.0.10");
  });

  it("has nothing probed that the client holds or held", () => {
    const state = serverWithLease();
    const probe = (now: number) => {
      const decision = tell(state, message("discover"), { now });
      return decision.kind === "reply" ? decision.probe : decision.reason;
    };
    expect(probe(NOW)).toBeNull();
    expect(probe(NOW + 3600_001)).toBeNull();
    const released = serverWithLease();
    tell(released, message("release", { ciaddr: ip("10.0.0.10") }));
    expect(tell(released, message("discover"))).toMatchObject({ probe: null });
  });

  it("has an address probed that somebody else used before, also after its rest", () => {
    const address = ip("10.0.0.50");
    const mac = macFromBytes(CLIENT);
    const reservation = { client: { kind: "mac", mac }, address, hostname: null, options: [] } as const;
    const state = server({ reservations: [reservation] });
    state.leases.apply(conflictAt({ address, client: mac }, NOW));
    const later = { now: NOW + CONFLICT_RESTS_MS };
    expect(tell(state, message("discover"), later)).toMatchObject({ probe: address });
    // Offered, found free, and not taken: somebody may have sat down there since.
    state.leases.apply({ kind: "withdraw", address, client: mac });
    expect(tell(state, message("discover"), later)).toMatchObject({ probe: address });
  });

  it("offers another address after a conflict, and lets the first one rest for ten minutes", () => {
    const state = server();
    tell(state, message("discover"));
    state.leases.apply(conflictAt({ address: ip("10.0.0.10"), client: macFromBytes(CLIENT) }, NOW));
    expect(answer(tell(state, message("discover")))).toBe("offer 10.0.0.11");
    const wish = (chaddr: Uint8Array, now: number) =>
      answer(tell(state, message("discover", { chaddr, options: [asksFor("10.0.0.10")] }), { now }));
    expect(wish(OTHER, NOW + 599_999)).not.toBe("offer 10.0.0.10");
    expect(wish(Uint8Array.of(2, 0, 0, 0, 0, 9), NOW + 600_000)).toBe("offer 10.0.0.10");
  });

  it("tells the site when a client took another server's offer, but not of our own other interface", () => {
    const takes = (address: string) => {
      const sent = message("request", { options: [asksFor("10.0.0.10"), toServer(address)] });
      const leases = new LeaseIndex([subnet()], [SERVER, ip("10.0.0.3")]);
      const decision = tell(server({}, { leases }), sent);
      return decision.kind === "silent" ? decision.notice : decision.reason;
    };
    expect(takes("10.0.0.2")).toEqual({ kind: "other-server", server: ip("10.0.0.2") });
    expect(takes("10.0.0.3")).toBeNull();
  });

  it("tells which pool is dry, how it is used, and when the next address is free", () => {
    const state = server({ pools: [{ first: ip("10.0.0.10"), last: ip("10.0.0.12") }] });
    leaseTo(state);
    leaseTo(state, { chaddr: OTHER });
    tell(state, message("decline", { options: [asksFor("10.0.0.10"), toServer("10.0.0.1")] }));
    tell(state, message("discover", { chaddr: Uint8Array.of(2, 0, 0, 0, 0, 8) }));
    const decision = tell(state, message("discover", { chaddr: Uint8Array.of(2, 0, 0, 0, 0, 9) }));
    expect(decision).toEqual({
      kind: "silent",
      change: null,
      because: "pool-empty",
      notice: {
        kind: "pool-empty",
        figures: {
          network: "10.0.0.0/24",
          size: 3,
          leased: 1,
          offered: 1,
          resting: 1,
          nextFreeAt: NOW + 60_000,
        },
      },
      reason:
        "no address to offer: every address of 10.0.0.0/24's pools is taken: 1 of 3 leased, 1 offered, 1 resting after a conflict; the next is free in 1 min",
    });
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
    expect(answer(tell(state, later, { now: NOW + 600_001 }))).toBe("offer 10.0.0.10");
  });

  it("answers INFORM without an address or lease times (RFC 2131 §4.3.5)", () => {
    const reply = replyOf(tell(server(), message("inform", { ciaddr: ip("10.0.0.77") })));
    expect([...reply.options.keys()]).toEqual([53, 54, 1, 3, 6]);
    expect(chooseDestination(reply)).toEqual({ address: ip("10.0.0.77"), port: 68 });
  });

  it("leaves an INFORM without an answer whose address is of another network (RFC 2131 §4.3.5)", () => {
    for (const address of ["10.9.0.77", "192.0.2.1"]) {
      const inform = message("inform", { ciaddr: ip(address) });
      expect(answer(tell(server(), inform, { broadcast: true }))).toContain("another network");
    }
    const behindRelay = message("inform", { ciaddr: ip("10.9.0.77") });
    expect(answer(tell(server(), behindRelay, { broadcast: false }))).toBe("ack");
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
    expect(state.leases.recordOf(localSubnet(state), macFromBytes(CLIENT))?.hostname).toHaveLength(63);
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
