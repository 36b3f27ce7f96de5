/** Who has which address: the index in memory, its journal on disk, and what an operator may ask of both. */
import { isDeepStrictEqual } from "node:util";
import { DrpError } from "../../core/errors.ts";
import type { Ipv4 } from "../../core/ipv4.ts";
import type { Clock } from "../../core/time.ts";
import { type DurableChange, type Lease, revocationOf } from "../lease-change.ts";
import type { LeaseHistoryEntry, LeaseHistoryQuery } from "../lease-history.ts";
import { LeaseIndex } from "../leases.ts";
import type { Subnet } from "../subnet.ts";
import { applyDurably } from "./exchange.ts";
import { readLeaseHistory } from "./lease-history.ts";
import { type LeaseJournal, openLeaseJournal } from "./lease-journal.ts";

export class LeaseBook {
  private readonly path: string;
  private readonly clock: Clock;
  private openJournal: LeaseJournal | undefined;
  private ownAddresses: readonly Ipv4[] = [];
  leases: LeaseIndex;

  /** @param path of the journal */
  constructor(path: string, clock: Clock) {
    this.path = path;
    this.clock = clock;
    this.leases = new LeaseIndex([], []);
  }

  /** Leases stay; those outside the new subnets are forgotten. @param ownAddresses never given away */
  configure(subnets: readonly Subnet[], ownAddresses: readonly Ipv4[]): void {
    if (isDeepStrictEqual([subnets, ownAddresses], [this.leases.subnets, this.ownAddresses])) return;
    this.ownAddresses = ownAddresses;
    this.replace(subnets, this.leases.durableChanges());
  }

  /** Reads the journal, and from then on keeps it. @throws {DrpError} lease-journal.damaged */
  async open(): Promise<void> {
    const opened = await openLeaseJournal(this.path);
    this.replace(this.leases.subnets, opened.changes);
    this.openJournal = await opened.start(() => this.leases.durableChanges());
  }

  get journal(): LeaseJournal {
    if (this.openJournal === undefined) {
      throw new DrpError("internal", "no leases are kept here: DHCP is off");
    }
    return this.openJournal;
  }

  async close(): Promise<void> {
    await this.openJournal?.close();
    this.openJournal = undefined;
  }

  liveLeases(): Lease[] {
    return this.leases.liveLeases(this.clock());
  }

  /** @returns the newest first */
  async history(query: LeaseHistoryQuery): Promise<LeaseHistoryEntry[]> {
    return await readLeaseHistory(this.path, query);
  }

  /**
   * Takes a lease back; on disk before it is answered.
   *
   * @returns undefined where nobody holds the address
   * @throws what the disk says; the lease then stays
   */
  async release(address: Ipv4): Promise<Lease | undefined> {
    const lease = this.leases.liveLeaseAt(address, this.clock());
    if (lease !== undefined) await applyDurably(revocationOf(lease, this.clock()), this.leases, this.journal);
    return lease;
  }

  private replace(subnets: readonly Subnet[], changes: Iterable<DurableChange>): void {
    const leases = new LeaseIndex(subnets, this.ownAddresses);
    for (const change of changes) leases.apply(change);
    this.leases = leases;
  }
}
