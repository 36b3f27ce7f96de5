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
 * Collects the answer to one query, journal by journal, from the newest to the oldest. Compaction repeats at the beginning of
 * a journal what the one before it ended with, and may repeat the change that brought it about: each is told once. Changes
 * without a time are not told, because nobody knows when they were.
 */
export class LeaseHistory {
  private readonly query: LeaseHistoryQuery;
  /** Newest first. While it is not complete nothing was left out, so it knows every repetition. */
  private readonly found = new Map<string, LeaseHistoryEntry>();

  constructor(query: LeaseHistoryQuery) {
    this.query = query;
  }

  /** Whether older journals can add nothing. */
  get isComplete(): boolean {
    return this.found.size >= this.query.limit;
  }

  /** @param changes of one journal, in the order in which they were written */
  addJournal(changes: Iterable<DurableChange>): void {
    const { limit } = this.query;
    let newest = new Map<string, LeaseHistoryEntry>();
    for (const change of changes) {
      const entry = asEntry(change);
      if (entry === undefined || !this.isAskedFor(entry)) continue;
      const key = `${entry.at} ${entry.address} ${entry.client} ${entry.what}`;
      // Taken out first: what is repeated counts where it stands last.
      newest.delete(key);
      if (!this.found.has(key)) newest.set(key, entry);
      // A long journal costs no more memory than two answers.
      if (newest.size >= 2 * limit) newest = new Map([...newest].slice(-limit));
    }
    for (const [key, entry] of [...newest].toReversed()) {
      if (this.isComplete) return;
      this.found.set(key, entry);
    }
  }

  /** Newest first, at most as many as were asked for. */
  entries(): LeaseHistoryEntry[] {
    return [...this.found.values()];
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
