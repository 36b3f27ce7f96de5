/** Who had which address when: the lease journals of the past, as questions and answers. */
import type { Ipv4 } from "../core/ipv4.ts";
import type { EpochMs } from "../core/time.ts";
import type { ClientKey } from "./client-key.ts";

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
