/**
 * Who holds which address, in memory, over all subnets. Keyed on the hardware address, because the client identifier differs
 * between the firmware, iPXE and the operating system of one machine. Knows no clock and no disk.
 */
import type { Ipv4 } from "../core/ipv4.ts";
import type { EpochMs } from "../core/time.ts";
import { type AddressChoice, AddressPool, type AppliedChange, asLease, type Claim } from "./address-pool.ts";
import type { ClientKey } from "./client-key.ts";
import { addressOf, type DurableChange, type Lease, type LeaseChange } from "./lease-change.ts";
import type { DhcpOptions } from "./options.ts";
import { findSubnet, type Reservation, type Subnet } from "./subnet.ts";

export class LeaseIndex {
  readonly subnets: readonly Subnet[];
  private readonly pools = new Map<Subnet, AddressPool>();
  private readonly ownAddresses: ReadonlySet<Ipv4>;

  /** @param ownAddresses never given away */
  constructor(subnets: readonly Subnet[], ownAddresses: readonly Ipv4[]) {
    this.subnets = subnets;
    this.ownAddresses = new Set(ownAddresses);
    for (const subnet of subnets) this.pools.set(subnet, new AddressPool(subnet, ownAddresses));
  }

  /** Whether an address is this host's, on whichever interface. */
  isOurs(address: Ipv4): boolean {
    return this.ownAddresses.has(address);
  }

  /** The reservation that a client has in a subnet. @param options of its message: identifier and relay count too */
  reservationOf(subnet: Subnet, client: ClientKey, options: DhcpOptions): Reservation | undefined {
    return this.pool(subnet).reservationOf(client, options);
  }

  /**
   * The address that a client would get: its reservation, the one that it had, the one that it asks for, or any free one.
   *
   * @param requested option 50, a wish
   */
  choose(subnet: Subnet, claim: Claim, requested: Ipv4 | undefined, now: EpochMs): AddressChoice {
    return this.pool(subnet).choose(claim, requested, now);
  }

  /** Whether this client may have this address now, by its reservation or from the pool. */
  mayHave(subnet: Subnet, address: Ipv4, claim: Claim, now: EpochMs): boolean {
    return this.pool(subnet).mayHave(address, claim, now);
  }

  /** Whether an address is given from the subnet's pools or by a reservation, to anybody. */
  isManaged(subnet: Subnet, address: Ipv4): boolean {
    return this.pool(subnet).isManaged(address);
  }

  /**
   * Whether somebody may sit on an address without our knowledge, so that a probe must come before its offer: this client
   * was not the last one to hold a lease of it, and no probe found it free for this client while the offer stands.
   */
  needsProbe(subnet: Subnet, address: Ipv4, client: ClientKey, now: EpochMs): boolean {
    const hold = this.pool(subnet).holdAt(address);
    if (hold?.client !== client) return true;
    switch (hold.kind) {
      case "leased":
      case "revoked":
        return false;
      case "offered":
        return !hold.probed || hold.until <= now;
      case "released":
        // An offer that the client did not take has no time.
        return hold.at === null;
      case "declined":
      case "conflict":
        return true;
    }
  }

  /** Whether an operator took this address back from this client, and it has not begun anew since. */
  isRevoked(subnet: Subnet, address: Ipv4, client: ClientKey): boolean {
    const hold = this.pool(subnet).holdAt(address);
    return hold?.kind === "revoked" && hold.client === client;
  }

  /** The lease of a client in a subnet, also when it has run out and nobody else has got the address yet. */
  recordOf(subnet: Subnet, client: ClientKey): Lease | undefined {
    return asLease(this.pool(subnet).holdOf(client));
  }

  /** The address that is held for a client's answer to our offer. */
  offeredTo(subnet: Subnet, client: ClientKey): Ipv4 | undefined {
    const hold = this.pool(subnet).holdOf(client);
    return hold?.kind === "offered" ? hold.address : undefined;
  }

  /** Who holds an address; also an expired lease that nobody replaced. */
  holderOf(address: Ipv4): ClientKey | undefined {
    return this.poolAround(address)?.holdAt(address)?.client;
  }

  /** The lease of an address, if it has not run out: what an operator can take back. */
  liveLeaseAt(address: Ipv4, now: EpochMs): Lease | undefined {
    const hold = this.poolAround(address)?.holdAt(address);
    return hold !== undefined && hold.until > now ? asLease(hold) : undefined;
  }

  /** Undefined when the address belongs to no subnet of ours: then there is nothing to change. */
  apply(change: LeaseChange): AppliedChange | undefined {
    return this.poolAround(addressOf(change))?.apply(change);
  }

  /** Takes a change back, unless a later one already replaced it. */
  revert(applied: AppliedChange): void {
    this.poolAround(applied.after.address)?.revert(applied);
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

  /** How much is remembered, over all subnets. */
  countHeld(): { readonly addresses: number; readonly clients: number } {
    const counts = [...this.pools.values()].map(pool => pool.countHeld());
    return {
      addresses: counts.reduce((sum, { addresses }) => sum + addresses, 0),
      clients: counts.reduce((sum, { clients }) => sum + clients, 0),
    };
  }

  /** What a compacted journal must hold: leases, also expired ones (who had what), revocations, and addresses that rest. */
  *durableChanges(): Generator<DurableChange, void, undefined> {
    for (const pool of this.pools.values()) yield* pool.durableChanges();
  }

  private pool(subnet: Subnet): AddressPool {
    const pool = this.pools.get(subnet);
    if (pool === undefined) throw new RangeError("the subnet is none of this index");
    return pool;
  }

  private poolAround(address: Ipv4): AddressPool | undefined {
    const subnet = findSubnet(this.subnets, address);
    return subnet === undefined ? undefined : this.pools.get(subnet);
  }
}
