/** Who had which address when: the lease journals of the past, as questions and answers. */
import type { Ipv4 } from "../core/ipv4.ts";
import type { EpochMs } from "../core/time.ts";
import type { ClientKey } from "./client-key.ts";
import type { DurableChange } from "./lease-change.ts";

export interface LeaseHistoryQuery {
  /** Null: any. */
  readonly address: Ipv4 | null;
  readonly client: ClientKey | null;
  /** The newest ones; at least 1. */
  readonly limit: number;
}

export interface LeaseHistoryEntry {
  readonly at: EpochMs;
  readonly address: Ipv4;
  readonly client: ClientKey;
  readonly hostname: string | null;
  /**
   * leased: given or renewed. released: given back by the client. revoked: taken back by an operator. declined: the client
   * found somebody else on it. conflict: our probe did.
   */
  readonly what: "leased" | "released" | "revoked" | "declined" | "conflict";
  /** Of a lease: when it runs out; of a declined or conflicting address: until when it rests; else null. */
  readonly until: EpochMs | null;
}

/**
 * Collects the answer to one query from journals in any order. Compaction repeats at the beginning of a journal what the one
 * before it ended with, and may repeat the change that brought it about: each is told once, in the order of the clock that
 * was set at the time. Changes without a time are not told, because nobody knows when they were.
 */
export class LeaseHistory {
  private readonly query: LeaseHistoryQuery;
  private found = new Map<string, LeaseHistoryEntry>();

  constructor(query: LeaseHistoryQuery) {
    this.query = query;
  }

  /** For who goes from the newest changes to the oldest: whether older ones can add nothing. */
  get isComplete(): boolean {
    return this.found.size >= this.query.limit;
  }

  /** @param changes of one journal, in the order in which they were written; any number of them costs no more memory */
  addJournal(changes: Iterable<DurableChange>): void {
    for (const change of changes) {
      const entry = asEntry(change);
      if (entry === undefined || !this.isAskedFor(entry)) continue;
      this.found.set(`${entry.at} ${entry.address} ${entry.client} ${entry.what}`, entry);
      if (this.found.size > 2 * this.query.limit) this.found = new Map(this.newest().toReversed());
    }
  }

  /** Newest first, at most as many as were asked for. */
  entries(): LeaseHistoryEntry[] {
    return this.newest().map(([, entry]) => entry);
  }

  /** What was written later comes first where the clock makes no difference. */
  private newest(): [string, LeaseHistoryEntry][] {
    const byTime = [...this.found].toReversed().toSorted(([, a], [, b]) => b.at - a.at);
    return byTime.slice(0, this.query.limit);
  }

  private isAskedFor({ address, client }: LeaseHistoryEntry): boolean {
    const { address: wantedAddress, client: wantedClient } = this.query;
    return (
      (wantedAddress === null || wantedAddress === address) &&
      (wantedClient === null || wantedClient === client)
    );
  }
}

const WHAT = {
  release: "released",
  revoke: "revoked",
  decline: "declined",
  conflict: "conflict",
} as const;

function asEntry(change: DurableChange): LeaseHistoryEntry | undefined {
  if (change.at === null) return undefined;
  if (change.kind === "lease") {
    const { address, client, hostname, expiresAt } = change.lease;
    return { at: change.at, address, client, hostname, what: "leased", until: expiresAt };
  }
  const { at, address, client } = change;
  const until = change.kind === "decline" || change.kind === "conflict" ? change.until : null;
  return { at, address, client, hostname: null, what: WHAT[change.kind], until };
}
