/** What must hold whatever clients send, in whatever order, and however the clock runs. */
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { Ipv4 } from "../../src/core/ipv4.ts";
import { isMac } from "../../src/dhcp/client-key.ts";
import { type DhcpState, decideDhcp } from "../../src/dhcp/decide.ts";
import { conflictAt, type Lease, revocationOf } from "../../src/dhcp/lease-change.ts";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../../src/dhcp/lease-journal.ts";
import { LeaseIndex } from "../../src/dhcp/leases.ts";
import { ipv4Value, OPTION, type OptionEntry } from "../../src/dhcp/options.ts";
import type { DhcpMessage, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import type { Subnet } from "../../src/dhcp/subnet.ts";
import { ip, machine, message, networkOf, RECEIVED_ON, SERVER, server, subnet } from "./helpers/server.ts";

/** Four addresses of a pool and two reserved ones, for seven machines: there is always a quarrel. */
const POOL = { first: ip("10.0.0.10"), last: ip("10.0.0.13") };
const CONTESTED: Partial<Subnet> = {
  pools: [POOL],
  leaseSeconds: 600,
  reservations: [
    { client: { kind: "mac", mac: machine(1) }, address: ip("10.0.0.20"), hostname: null, options: [] },
    {
      client: { kind: "circuit", circuitId: "aa", remoteId: null },
      address: ip("10.0.0.21"),
      hostname: null,
      options: [],
    },
  ],
};
const MACHINES = 7;

interface Step {
  readonly does: "sends" | "is found to conflict" | "is revoked" | "restarts";
  readonly type: keyof typeof MESSAGE_TYPE;
  readonly machine: number;
  readonly address: Ipv4;
  readonly names: { readonly server: boolean; readonly requested: boolean; readonly ciaddr: boolean };
  readonly relayed: boolean;
  readonly broadcast: boolean;
  readonly minutes: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  does: fc.constantFrom(
    "sends",
    "sends",
    "sends",
    "sends",
    "sends",
    "is found to conflict",
    "is revoked",
    "restarts",
  ),
  type: fc.constantFrom(
    "discover",
    "discover",
    "request",
    "request",
    "request",
    "decline",
    "release",
    "inform",
  ),
  machine: fc.integer({ min: 1, max: MACHINES }),
  address: fc.integer({ min: ip("10.0.0.9"), max: ip("10.0.0.22") }).map(number => number as Ipv4),
  names: fc.record({ server: fc.boolean(), requested: fc.boolean(), ciaddr: fc.boolean() }),
  relayed: fc.boolean(),
  broadcast: fc.boolean(),
  // Backwards too: clocks are set.
  minutes: fc.integer({ min: -8, max: 12 }),
});

function messageOf({ type, machine: number, address, names, relayed }: Step): DhcpMessage {
  const options: OptionEntry[] = [];
  if (names.server) options.push([OPTION.serverIdentifier, ipv4Value(SERVER)]);
  if (names.requested) options.push([OPTION.requestedAddress, ipv4Value(address)]);
  if (relayed) options.push([OPTION.relayAgent, Uint8Array.of(1, 1, 0xaa)]);
  return message(type, {
    chaddr: Uint8Array.of(0x52, 0x54, 0, 0, 0, number),
    options,
    ...(names.ciaddr ? { ciaddr: address } : {}),
  });
}

/** Carries changes out as the server does, with a journal that is all that a restart leaves. */
class Story {
  state: DhcpState = server(CONTESTED);
  now = 1_000_000_000;
  readonly promised = new Map<Ipv4, Lease>();
  private journal = JOURNAL_HEADER;

  tell(told: Step): void {
    this.now += told.minutes * 60_000;
    const { leases } = this.state;
    if (told.does === "restarts") {
      const again = new LeaseIndex(leases.subnets, [SERVER]);
      for (const change of decodeJournal(Buffer.from(this.journal), "journal")) again.apply(change);
      this.state = { ...this.state, leases: again };
      return;
    }
    if (told.does === "is revoked") {
      const lease = leases.liveLeaseAt(told.address, this.now);
      if (lease === undefined) return;
      this.apply(revocationOf(lease, this.now));
      this.promised.delete(told.address);
      return;
    }
    const receivedOn = { ...RECEIVED_ON, broadcast: told.broadcast };
    const decision = decideDhcp(messageOf(told), receivedOn, this.state, this.now);
    if (decision.kind === "reply" && decision.probe !== null && told.does === "is found to conflict") {
      this.apply(conflictAt({ address: decision.probe, client: machine(told.machine) }, this.now));
      return;
    }
    const { change } = decision;
    if (change === null) return;
    if (change.kind === "lease") this.promise(change.lease);
    if (change.kind === "release" || change.kind === "decline") this.promised.delete(change.address);
    this.apply(change);
  }

  /** What an ACK tells a machine holds until its lease runs out, is given up or taken back. */
  private promise(lease: Lease): void {
    const earlier = this.promised.get(lease.address);
    if (earlier !== undefined && earlier.expiresAt > this.now) expect(earlier.client).toBe(lease.client);
    this.promised.set(lease.address, lease);
  }

  private apply(change: Parameters<LeaseIndex["apply"]>[0]): void {
    this.state.leases.apply(change);
    if (change.kind !== "offer" && change.kind !== "withdraw") this.journal += encodeChange(change);
  }
}

const stories = fc.array(step, { minLength: 1, maxLength: 80 });
const RUNS = { numRuns: 400 };

describe("DHCP, whatever clients send", () => {
  it("never lets two machines hold one address: conflicts, releases, restarts, a clock that is set back", () => {
    fc.assert(
      fc.property(stories, steps => {
        const story = new Story();
        for (const told of steps) story.tell(told);
      }),
      RUNS,
    );
  });

  it("gives reserved addresses to nobody else, and nothing that is neither reserved nor of a pool", () => {
    fc.assert(
      fc.property(stories, steps => {
        const story = new Story();
        for (const told of steps) {
          story.tell(told);
          for (const { address, client } of story.state.leases.liveLeases(story.now)) {
            if (address === ip("10.0.0.20")) expect(client).toBe(machine(1));
            else if (address !== ip("10.0.0.21")) expect(address).toBeGreaterThanOrEqual(POOL.first);
            expect(address).toBeLessThanOrEqual(ip("10.0.0.21"));
            expect(address > POOL.last && address < ip("10.0.0.20")).toBe(false);
          }
        }
      }),
      RUNS,
    );
  });

  it("leaves the journal able to tell who holds what", () => {
    fc.assert(
      fc.property(stories, steps => {
        const story = new Story();
        // Set back, the clock would revive leases that the index has let go of meanwhile.
        for (const told of steps) story.tell({ ...told, minutes: Math.abs(told.minutes) });
        const before = story.state.leases.liveLeases(story.now);
        story.tell({ ...(steps[0] ?? ({} as Step)), does: "restarts", minutes: 0 });
        expect(new Set(story.state.leases.liveLeases(story.now))).toEqual(new Set(before));
      }),
      RUNS,
    );
  });

  it("remembers no more addresses and machines than its pools and reservations hold, however many names strangers use", () => {
    const leases = new LeaseIndex([subnet(CONTESTED)], [SERVER]);
    const state = server({}, { leases });
    for (let number = 0; number < 5000; number++) {
      const chaddr = Uint8Array.of(0x52, 0x54, 0, number >> 16, number >> 8, number);
      const now = number * 30_000;
      const discover = decideDhcp(message("discover", { chaddr }), RECEIVED_ON, state, now);
      if (discover.change !== null) leases.apply(discover.change);
      const ciaddr = (ip("10.0.0.0") + (number % 256)) as Ipv4;
      const renewal = decideDhcp(message("request", { chaddr, ciaddr }), RECEIVED_ON, state, now);
      if (renewal.change !== null) leases.apply(renewal.change);
    }
    // Machine 1 has its reserved address, the others share the pool's four.
    expect(leases.countHeld()).toEqual({ addresses: 5, clients: 5 });
  });
});

describe("the choice of an address", () => {
  /** Look-ups in maps: what grows if anything is searched. */
  function stepsOfAChoice(cidr: string, first: string, last: string, held: number): number {
    const big = subnet({
      network: networkOf(cidr),
      pools: [{ first: ip(first), last: ip(last) }],
      router: null,
    });
    const leases = new LeaseIndex([big], []);
    const claim = (number: number) => ({ client: machine(number), reservation: undefined });
    const give = (number: number, now: number) => {
      const choice = leases.choose(big, claim(number), undefined, now);
      if (choice.kind === "none") throw new Error(choice.reason);
      const lease = {
        address: choice.address,
        client: machine(number),
        hostname: null,
        expiresAt: now + 1000,
      };
      leases.apply({ kind: "lease", at: now, lease });
      return choice.address;
    };
    for (let number = 0; number < held; number++) give(number, 0);
    const get = vi.spyOn(Map.prototype, "get");
    const has = vi.spyOn(Map.prototype, "has");
    try {
      for (let number = held; number < held + 100; number++) give(number, 5000);
      return get.mock.calls.length + has.mock.calls.length;
    } finally {
      get.mockRestore();
      has.mockRestore();
    }
  }

  it("takes as many steps in a pool of 16 million as in one of two hundred", () => {
    const small = stepsOfAChoice("10.0.0.0/24", "10.0.0.10", "10.0.0.209", 50);
    expect(small).toBeGreaterThan(100);
    expect(stepsOfAChoice("10.0.0.0/8", "10.0.0.10", "10.255.255.250", 50)).toBe(small);
    expect(stepsOfAChoice("10.0.0.0/8", "10.0.0.10", "10.255.255.250", 20_000)).toBe(small);
  });

  it("takes as many steps when every address was held before", () => {
    const small = stepsOfAChoice("10.0.0.0/24", "10.0.0.10", "10.0.0.209", 200);
    expect(stepsOfAChoice("10.0.0.0/16", "10.0.0.1", "10.0.78.32", 20_000)).toBe(small);
  });
});

describe("a machine without a hardware address in its message (InfiniBand, RFC 4390)", () => {
  const identifier: OptionEntry = [OPTION.clientIdentifier, Uint8Array.of(0xff, 1, 2, 3, 4)];

  it("has a lease by its identifier, and answers that everybody on the wire hears", () => {
    const state = server();
    const fields = { htype: 32, chaddr: new Uint8Array() };
    const discover = message("discover", { ...fields, options: [identifier] });
    const decision = decideDhcp(discover, RECEIVED_ON, state, 0);
    if (decision.kind !== "reply") throw new Error(decision.reason);
    expect(decision.message).toMatchObject({ htype: 32, chaddr: new Uint8Array(), broadcast: true });
    expect(decision.change).toMatchObject({ kind: "offer", client: "id:ff01020304" });
    expect(isMac("id:ff01020304")).toBe(false);
  });
});
