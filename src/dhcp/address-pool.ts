/**
 * Who holds which address of one subnet: choosing one, holding it, and taking back what was held take constant time at any
 * pool size, and memory follows what is held, not how large the pool is.
 */
import { formatIpv4, formatIpv4Network, type Ipv4, type Ipv4Network } from "../core/ipv4.ts";
import { type EpochMs, formatDuration } from "../core/time.ts";
import { type AgeLinks, ExpiryQueue } from "./age-list.ts";
import type { ClientKey } from "./client-key.ts";
import type { DurableChange, Lease, LeaseChange } from "./lease-change.ts";
import type { DhcpOptions } from "./options.ts";
import { type AddressRange, countAddresses, rangesContain } from "./ranges.ts";
import { ReservationTable } from "./reservation-table.ts";
import { assignableRanges, type Reservation, type Subnet } from "./subnet.ts";

/** Who asks for an address. */
export interface Claim {
  readonly client: ClientKey;
  readonly reservation: Reservation | undefined;
}

type HoldKind = "offered" | "leased" | "released" | "revoked" | "declined" | "conflict";

interface Hold extends AgeLinks<Hold> {
  readonly kind: HoldKind;
  readonly address: Ipv4;
  readonly client: ClientKey;
  readonly hostname: string | null;
  /** When it became so; null: not known, or not kept. */
  readonly at: EpochMs | null;
  readonly until: EpochMs;
  /** Of an offer: a probe found nobody there. */
  readonly probed: boolean;
}

/** What `apply` did; `revert` takes it back. */
export interface AppliedChange {
  readonly before: Hold | undefined;
  readonly after: Hold;
}

export type AddressChoice =
  /** `note`: why it is not the reserved one; else empty. */
  | { readonly kind: "chosen"; readonly address: Ipv4; readonly note: string }
  | { readonly kind: "none"; readonly reason: string; readonly figures: PoolFigures };

export interface PoolFigures {
  /** "10.0.0.0/24" */
  readonly network: string;
  /** Addresses that can be given to anybody. */
  readonly size: number;
  readonly leased: number;
  readonly offered: number;
  /** After a conflict. */
  readonly resting: number;
  /** When the first of them is free again; null when nothing is held. */
  readonly nextFreeAt: EpochMs | null;
}

export class AddressPool {
  private readonly network: Ipv4Network;
  private readonly assignable: readonly AddressRange[];
  private readonly reservations: ReservationTable;
  private readonly reservedAddresses: ReadonlySet<Ipv4>;
  private readonly byAddress = new Map<Ipv4, Hold>();
  private readonly addressByClient = new Map<ClientKey, Ipv4>();
  private readonly byAge: Readonly<Record<HoldKind, ExpiryQueue<Hold>>> = {
    offered: new ExpiryQueue(),
    leased: new ExpiryQueue(),
    released: new ExpiryQueue(),
    revoked: new ExpiryQueue(),
    declined: new ExpiryQueue(),
    conflict: new ExpiryQueue(),
  };
  /** The next address that was never held. */
  private freshRange = 0;
  private freshAddress: Ipv4 | undefined;

  constructor(subnet: Subnet, ownAddresses: readonly Ipv4[]) {
    this.network = subnet.network;
    this.assignable = assignableRanges(subnet, ownAddresses);
    this.freshAddress = this.assignable[0]?.first;
    this.reservations = new ReservationTable(subnet.reservations);
    this.reservedAddresses = new Set(subnet.reservations.map(({ address }) => address));
  }

  reservationOf(client: ClientKey, options: DhcpOptions): Reservation | undefined {
    return this.reservations.find(client, options, this.holdOf(client)?.address);
  }

  holds(): Iterable<Hold> {
    return this.byAddress.values();
  }

  countHeld(): { readonly addresses: number; readonly clients: number } {
    return { addresses: this.byAddress.size, clients: this.addressByClient.size };
  }

  holdAt(address: Ipv4): Hold | undefined {
    return this.byAddress.get(address);
  }

  holdOf(client: ClientKey): Hold | undefined {
    const address = this.addressByClient.get(client);
    const hold = address === undefined ? undefined : this.byAddress.get(address);
    return hold?.client === client ? hold : undefined;
  }

  isManaged(address: Ipv4): boolean {
    return rangesContain(this.assignable, address) || this.reservedAddresses.has(address);
  }

  choose(claim: Claim, requested: Ipv4 | undefined, now: EpochMs): AddressChoice {
    const { client, reservation } = claim;
    const note = reservation === undefined ? "" : this.whyNotReserved(reservation.address, client, now);
    if (reservation !== undefined && note === "")
      return { kind: "chosen", address: reservation.address, note };
    const own = this.holdOf(client)?.address;
    if (own !== undefined && this.isFreeFromPool(own, client, now))
      return { kind: "chosen", address: own, note };
    if (requested !== undefined && this.isFreeFromPool(requested, client, now)) {
      return { kind: "chosen", address: requested, note };
    }
    const address = this.chooseAny(now);
    if (address !== undefined) return { kind: "chosen", address, note };
    const figures = this.figures();
    const reason = describeFigures(figures, now);
    return { kind: "none", reason: note === "" ? reason : `${note}; ${reason}`, figures };
  }

  /** Empty: the client can have its reserved address. Else it gets one from the pool until it can. */
  private whyNotReserved(address: Ipv4, client: ClientKey, now: EpochMs): string {
    if (this.isFreeFor(address, client, now)) return "";
    const holder = this.byAddress.get(address);
    const left = formatDuration((holder?.until ?? now) - now);
    const why = isResting(holder)
      ? `rests after a conflict for ${left}`
      : `is still held by ${holder?.client} for ${left}`;
    return `its reserved address ${formatIpv4(address)} ${why}`;
  }

  /**
   * Offers that nobody took first, so that a stranger who asks under many names costs no more than what a minute holds;
   * then untouched addresses, so that machines which come back late find their old one. What an operator took back may
   * still be in use until its client asks again, so it comes late.
   */
  private chooseAny(now: EpochMs): Ipv4 | undefined {
    return (
      this.firstOver("offered", now) ??
      this.freshAddress ??
      this.firstOver("released", now) ??
      this.firstOver("leased", now) ??
      this.firstOver("revoked", now) ??
      this.firstOver("declined", now) ??
      this.firstOver("conflict", now)
    );
  }

  private firstOver(kind: HoldKind, now: EpochMs): Ipv4 | undefined {
    const first = this.byAge[kind].first();
    return first !== undefined && first.until <= now ? first.address : undefined;
  }

  /** A machine whose reserved address can be had may have no other. */
  mayHave(address: Ipv4, { client, reservation }: Claim, now: EpochMs): boolean {
    if (reservation !== undefined && this.isFreeFor(reservation.address, client, now)) {
      return address === reservation.address;
    }
    return this.isFreeFromPool(address, client, now);
  }

  private isFreeFromPool(address: Ipv4, client: ClientKey, now: EpochMs): boolean {
    return rangesContain(this.assignable, address) && this.isFreeFor(address, client, now);
  }

  private isFreeFor(address: Ipv4, client: ClientKey, now: EpochMs): boolean {
    const hold = this.byAddress.get(address);
    if (hold === undefined || hold.until <= now) return true;
    return hold.client === client && !isResting(hold);
  }

  apply(change: LeaseChange): AppliedChange {
    return this.put(holdAfter(change));
  }

  revert({ before, after }: AppliedChange): void {
    if (this.byAddress.get(after.address) !== after) return;
    this.put(before === undefined ? { ...after, kind: "released", at: null, until: 0 } : { ...before });
  }

  /** May be read in steps: what changes meanwhile comes as it was or as it is. */
  *durableChanges(): Generator<DurableChange, void, undefined> {
    for (const hold of this.byAddress.values()) {
      const change = asDurableChange(hold);
      if (change !== undefined) yield change;
    }
  }

  private put(after: Hold): AppliedChange {
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

  /** Asked when the pool is dry, which a stranger can bring about: constant time too. */
  private figures(): PoolFigures {
    const { leased, offered, declined, conflict } = this.byAge;
    const heads = [leased, offered, declined, conflict].flatMap(queue => queue.first() ?? []);
    return {
      network: formatIpv4Network(this.network),
      size: countAddresses(this.assignable),
      leased: leased.length,
      offered: offered.length,
      resting: declined.length + conflict.length,
      nextFreeAt: heads.length === 0 ? null : Math.min(...heads.map(({ until }) => until)),
    };
  }
}

function describeFigures(figures: PoolFigures, now: EpochMs): string {
  const { network, size, leased, offered, resting, nextFreeAt } = figures;
  if (size === 0) return `${network} has no address for machines without a reservation`;
  const next = nextFreeAt === null ? "" : `; the next is free in ${formatDuration(nextFreeAt - now)}`;
  return (
    `every address of ${network}'s pools is taken: ` +
    `${leased} of ${size} leased, ${offered} offered, ${resting} resting after a conflict${next}`
  );
}

function isResting(hold: Hold | undefined): boolean {
  return hold?.kind === "declined" || hold?.kind === "conflict";
}

function holdAfter(change: LeaseChange): Hold {
  if (change.kind === "lease") {
    const { address, client, hostname, expiresAt } = change.lease;
    return makeHold("leased", { address, client, hostname, at: change.at, until: expiresAt });
  }
  const { address, client } = change;
  switch (change.kind) {
    case "offer":
      return makeHold("offered", { address, client, until: change.until, probed: change.probed });
    case "withdraw":
      return makeHold("released", { address, client });
    case "release":
      return makeHold("released", { address, client, at: change.at });
    case "revoke":
      return makeHold("revoked", { address, client, at: change.at });
    case "decline":
      return makeHold("declined", { address, client, at: change.at, until: change.until });
    case "conflict":
      return makeHold("conflict", { address, client, at: change.at, until: change.until });
  }
}

/** One shape for all, so that V8 keeps them small and fast. */
function makeHold(
  kind: HoldKind,
  { address, client, ...rest }: Pick<Hold, "address" | "client"> & Partial<Hold>,
): Hold {
  const { hostname = null, at = null, until = 0, probed = false } = rest;
  return { kind, address, client, hostname, at, until, probed, older: undefined, newer: undefined };
}

function asDurableChange(hold: Hold): DurableChange | undefined {
  const { at, address, client, until } = hold;
  switch (hold.kind) {
    case "leased":
      return { kind: "lease", at, lease: leaseOf(hold) };
    case "revoked":
      return { kind: "revoke", at, address, client };
    case "declined":
      return { kind: "decline", at, address, client, until };
    case "conflict":
      return { kind: "conflict", at, address, client, until };
    case "offered":
    case "released":
      return undefined;
  }
}

export function asLease(hold: Hold | undefined): Lease | undefined {
  return hold?.kind === "leased" ? leaseOf(hold) : undefined;
}

function leaseOf({ address, client, hostname, until }: Hold): Lease {
  return { address, client, hostname, expiresAt: until };
}
