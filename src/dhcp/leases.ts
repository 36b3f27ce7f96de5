/**
 * Who holds which address, in memory: choosing one, holding it, and taking back what was held take constant time at any
 * pool size. Keyed on the hardware address, because the client identifier differs between the firmware, iPXE and the
 * operating system of one machine. Knows no clock and no disk.
 */
import { formatIpv4, type Ipv4, type Ipv4Network } from "../core/ipv4.ts";
import type { EpochMs } from "../core/time.ts";
import { type AgeLinks, AgeList } from "./age-list.ts";
import type { ClientKey } from "./client-key.ts";
import { type AddressRange, rangesContain } from "./ranges.ts";
import { assignableRanges, findSubnet, type Subnet } from "./subnet.ts";

export interface Lease {
  readonly address: Ipv4;
  readonly client: ClientKey;
  /** As the client called itself (option 12). */
  readonly hostname: string | null;
  readonly expiresAt: EpochMs;
}

/** What a decision does to the index. */
export type LeaseChange =
  /** Held for a moment, in memory only: the client has not taken it yet. */
  | { readonly kind: "offer"; readonly address: Ipv4; readonly client: ClientKey; readonly until: EpochMs }
  | { readonly kind: "lease"; readonly lease: Lease }
  /** Given back, or an offer that the client did not take. The client gets it again while nobody else needs it. */
  | { readonly kind: "release"; readonly address: Ipv4; readonly client: ClientKey }
  /** The client found somebody else on it: nobody gets it until then. */
  | { readonly kind: "decline"; readonly address: Ipv4; readonly client: ClientKey; readonly until: EpochMs };

/** An offer is a promise of seconds and is not kept. */
export type DurableChange = Exclude<LeaseChange, { kind: "offer" }>;

type HoldKind = "offered" | "leased" | "released" | "declined";

interface Hold extends AgeLinks<Hold> {
  readonly kind: HoldKind;
  readonly address: Ipv4;
  readonly client: ClientKey;
  readonly hostname: string | null;
  readonly until: EpochMs;
}

/** What `apply` did; `revert` takes it back. */
export interface AppliedChange {
  readonly before: Hold | undefined;
  readonly after: Hold;
}

export type AddressChoice =
  | { readonly kind: "chosen"; readonly address: Ipv4 }
  | { readonly kind: "none"; readonly reason: string };

export class LeaseIndex {
  readonly subnets: readonly Subnet[];
  private readonly pools = new Map<Subnet, AddressPool>();

  /** @param ownAddresses never given away */
  constructor(subnets: readonly Subnet[], ownAddresses: readonly Ipv4[]) {
    this.subnets = subnets;
    for (const subnet of subnets) this.pools.set(subnet, new AddressPool(subnet, ownAddresses));
  }

  /**
   * The address that a client would get: its reservation, the one that it had, the one that it asks for, or any free one.
   *
   * @param requested option 50, a wish
   */
  choose(subnet: Subnet, client: ClientKey, requested: Ipv4 | undefined, now: EpochMs): AddressChoice {
    const pool = this.pools.get(subnet);
    return pool?.choose(client, requested, now) ?? { kind: "none", reason: "no such subnet" };
  }

  /** Whether this client may have this address now, by its reservation or from the pool. */
  mayHave(subnet: Subnet, address: Ipv4, client: ClientKey, now: EpochMs): boolean {
    return this.pools.get(subnet)?.mayHave(address, client, now) ?? false;
  }

  /** The lease of a client in a subnet, also when it has run out and nobody else has got the address yet. */
  recordOf(subnet: Subnet, client: ClientKey): Lease | undefined {
    return asLease(this.pools.get(subnet)?.holdOf(client));
  }

  /** The address that is held for a client's answer to our offer. */
  offeredTo(subnet: Subnet, client: ClientKey): Ipv4 | undefined {
    const hold = this.pools.get(subnet)?.holdOf(client);
    return hold?.kind === "offered" ? hold.address : undefined;
  }

  /** Who holds an address; also an expired lease that nobody replaced. */
  holderOf(address: Ipv4): ClientKey | undefined {
    return this.poolOf(address)?.holdAt(address)?.client;
  }

  /** Undefined when the address belongs to no subnet of ours: then there is nothing to change. */
  apply(change: LeaseChange): AppliedChange | undefined {
    const address = change.kind === "lease" ? change.lease.address : change.address;
    return this.poolOf(address)?.put(holdAfter(change));
  }

  /** Takes a change back, unless a later one already replaced it. */
  revert(applied: AppliedChange): void {
    this.poolOf(applied.after.address)?.putBack(applied);
  }

  /** Leases that have not run out. */
  liveLeases(now: EpochMs): Lease[] {
    const live: Lease[] = [];
    for (const pool of this.pools.values()) {
      for (const hold of pool.holds()) {
        const lease = hold.until > now ? asLease(hold) : undefined;
        if (lease !== undefined) live.push(lease);
      }
    }
    return live;
  }

  /** What a compacted journal must hold: leases, also expired ones (who had what), and addresses that rest. */
  durableChanges(): DurableChange[] {
    const changes: DurableChange[] = [];
    for (const pool of this.pools.values()) {
      for (const hold of pool.holds()) {
        const { address, client, until } = hold;
        const lease = asLease(hold);
        if (lease !== undefined) changes.push({ kind: "lease", lease });
        else if (hold.kind === "declined") changes.push({ kind: "decline", address, client, until });
      }
    }
    return changes;
  }

  private poolOf(address: Ipv4): AddressPool | undefined {
    const subnet = findSubnet(this.subnets, address);
    return subnet === undefined ? undefined : this.pools.get(subnet);
  }
}

class AddressPool {
  private readonly network: Ipv4Network;
  private readonly assignable: readonly AddressRange[];
  private readonly reservedFor: ReadonlyMap<ClientKey, Ipv4>;
  private readonly byAddress = new Map<Ipv4, Hold>();
  private readonly addressByClient = new Map<ClientKey, Ipv4>();
  /** Each kind is held for one span, so the oldest runs out first. */
  private readonly byAge: Readonly<Record<HoldKind, AgeList<Hold>>> = {
    offered: new AgeList(),
    leased: new AgeList(),
    released: new AgeList(),
    declined: new AgeList(),
  };
  /** The next address that was never held. */
  private freshRange = 0;
  private freshAddress: Ipv4 | undefined;

  constructor(subnet: Subnet, ownAddresses: readonly Ipv4[]) {
    this.network = subnet.network;
    this.assignable = assignableRanges(subnet, ownAddresses);
    this.freshAddress = this.assignable[0]?.first;
    this.reservedFor = new Map(
      subnet.reservations.flatMap(({ client, address }) =>
        client.kind === "mac" ? [[client.mac, address] as const] : [],
      ),
    );
  }

  holds(): Iterable<Hold> {
    return this.byAddress.values();
  }

  holdAt(address: Ipv4): Hold | undefined {
    return this.byAddress.get(address);
  }

  holdOf(client: ClientKey): Hold | undefined {
    const address = this.addressByClient.get(client);
    const hold = address === undefined ? undefined : this.byAddress.get(address);
    return hold?.client === client ? hold : undefined;
  }

  choose(client: ClientKey, requested: Ipv4 | undefined, now: EpochMs): AddressChoice {
    const reserved = this.reservedFor.get(client);
    if (reserved !== undefined) return this.chooseReserved(reserved, client, now);
    const own = this.holdOf(client)?.address;
    for (const wish of [own, requested]) {
      if (wish !== undefined && this.mayHave(wish, client, now)) return { kind: "chosen", address: wish };
    }
    const address = this.chooseAny(now);
    if (address !== undefined) return { kind: "chosen", address };
    return { kind: "none", reason: `every address of ${formatIpv4(this.network.network)}'s pools is taken` };
  }

  private chooseReserved(address: Ipv4, client: ClientKey, now: EpochMs): AddressChoice {
    if (this.isFreeFor(address, client, now)) return { kind: "chosen", address };
    const holder = this.byAddress.get(address);
    const why = holder?.kind === "declined" ? "rests after a conflict" : `is still held by ${holder?.client}`;
    return { kind: "none", reason: `its reserved address ${formatIpv4(address)} ${why}` };
  }

  /**
   * Offers that nobody took first, so that a stranger who asks under many names costs no more than what a minute holds;
   * then untouched addresses, so that machines which come back late find their old one.
   */
  private chooseAny(now: EpochMs): Ipv4 | undefined {
    return (
      this.oldestOver("offered", now) ??
      this.freshAddress ??
      this.oldestOver("released", now) ??
      this.oldestOver("leased", now) ??
      this.oldestOver("declined", now)
    );
  }

  private oldestOver(kind: HoldKind, now: EpochMs): Ipv4 | undefined {
    const oldest = this.byAge[kind].oldest;
    return oldest !== undefined && oldest.until <= now ? oldest.address : undefined;
  }

  mayHave(address: Ipv4, client: ClientKey, now: EpochMs): boolean {
    const reserved = this.reservedFor.get(client);
    const allowed = reserved === undefined ? rangesContain(this.assignable, address) : reserved === address;
    return allowed && this.isFreeFor(address, client, now);
  }

  private isFreeFor(address: Ipv4, client: ClientKey, now: EpochMs): boolean {
    const hold = this.byAddress.get(address);
    if (hold === undefined || hold.until <= now) return true;
    return hold.client === client && hold.kind !== "declined";
  }

  put(after: Hold): AppliedChange {
    const before = this.byAddress.get(after.address);
    // An address outside the pools (reserved, or left from an older configuration) is never chosen by age.
    if (rangesContain(this.assignable, after.address)) {
      if (before !== undefined) this.byAge[before.kind].remove(before);
      this.byAge[after.kind].push(after);
    }
    // Deleted first, so that the map is read in the order of age.
    this.byAddress.delete(after.address);
    this.byAddress.set(after.address, after);
    if (before !== undefined && before.client !== after.client) this.forget(before);
    this.addressByClient.set(after.client, after.address);
    this.skipHeldAddresses();
    return { before, after };
  }

  putBack({ before, after }: AppliedChange): void {
    if (this.byAddress.get(after.address) !== after) return;
    this.put(before === undefined ? { ...after, kind: "released", until: 0 } : { ...before });
  }

  /** A machine that lost its address keeps no entry here, so the map never outgrows the pool. */
  private forget(hold: Hold): void {
    if (this.addressByClient.get(hold.client) === hold.address) this.addressByClient.delete(hold.client);
  }

  /** Each address is passed once in the index's life. */
  private skipHeldAddresses(): void {
    while (this.freshAddress !== undefined && this.byAddress.has(this.freshAddress)) {
      const range = this.assignable[this.freshRange];
      if (range !== undefined && this.freshAddress < range.last) {
        this.freshAddress = (this.freshAddress + 1) as Ipv4;
      } else {
        this.freshRange++;
        this.freshAddress = this.assignable[this.freshRange]?.first;
      }
    }
  }
}

function holdAfter(change: LeaseChange): Hold {
  const unlinked = { older: undefined, newer: undefined };
  switch (change.kind) {
    case "lease": {
      const { address, client, hostname, expiresAt } = change.lease;
      return { kind: "leased", address, client, hostname, until: expiresAt, ...unlinked };
    }
    case "offer":
      return {
        kind: "offered",
        address: change.address,
        client: change.client,
        hostname: null,
        until: change.until,
        ...unlinked,
      };
    case "release":
      return {
        kind: "released",
        address: change.address,
        client: change.client,
        hostname: null,
        until: 0,
        ...unlinked,
      };
    case "decline":
      return {
        kind: "declined",
        address: change.address,
        client: change.client,
        hostname: null,
        until: change.until,
        ...unlinked,
      };
  }
}

function asLease(hold: Hold | undefined): Lease | undefined {
  if (hold?.kind !== "leased") return undefined;
  return { address: hold.address, client: hold.client, hostname: hold.hostname, expiresAt: hold.until };
}
