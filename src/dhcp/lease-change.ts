/** A lease, and what can become of an address: the words that decisions, the index, the journal and its history share. */
import type { Ipv4 } from "../core/ipv4.ts";
import type { EpochMs } from "../core/time.ts";
import type { ClientKey } from "./client-key.ts";

export interface Lease {
  readonly address: Ipv4;
  readonly client: ClientKey;
  /** Its reservation's, else as the client called itself (option 12). */
  readonly hostname: string | null;
  readonly expiresAt: EpochMs;
}

interface AddressOfClient {
  readonly address: Ipv4;
  readonly client: ClientKey;
}

/** Null: read from a journal that was written before times were kept. */
interface Dated {
  readonly at: EpochMs | null;
}

/** In memory only: promises of seconds, and what became of them. */
export type PassingChange =
  /** Held for a moment: the client has not taken it yet. `probed`: a probe found nobody on it. */
  | (AddressOfClient & { readonly kind: "offer"; readonly until: EpochMs; readonly probed: boolean })
  /** The client took another server's offer. */
  | (AddressOfClient & { readonly kind: "withdraw" });

/** What must be on disk before anybody hears of it. */
export type DurableChange =
  | (Dated & { readonly kind: "lease"; readonly lease: Lease })
  /** Given back. The client gets it again while nobody else needs it. */
  | (AddressOfClient & Dated & { readonly kind: "release" })
  /** Taken back by an operator: the client hears so when it renews, and must begin anew. */
  | (AddressOfClient & Dated & { readonly kind: "revoke" })
  /** The client found somebody else on it (DHCPDECLINE): nobody gets it until then. */
  | (AddressOfClient & Dated & { readonly kind: "decline"; readonly until: EpochMs })
  /** Our probe found somebody on it before it was offered to the client: nobody gets it until then. */
  | (AddressOfClient & Dated & { readonly kind: "conflict"; readonly until: EpochMs });

/** What a decision does to the index. */
export type LeaseChange = PassingChange | DurableChange;

/** Somebody else uses the address; an operator should find out, and a busy pool should get it back. */
export const CONFLICT_RESTS_MS = 600_000;

/** Whether a change must be on disk before its reply leaves. */
export function isDurable(change: LeaseChange): change is DurableChange {
  return change.kind !== "offer" && change.kind !== "withdraw";
}

/**
 * What a probe's answer means: the offer must not leave, and the client's message is to be decided again, which now chooses
 * another address.
 */
export function conflictAt(
  { address, client }: AddressOfClient,
  now: EpochMs,
): DurableChange & { kind: "conflict" } {
  return { kind: "conflict", at: now, address, client, until: now + CONFLICT_RESTS_MS };
}

/** An operator takes a lease back: the address is free at once, and the next renewal is refused with a NAK. */
export function revocationOf({ address, client }: Lease, now: EpochMs): DurableChange {
  return { kind: "revoke", at: now, address, client };
}

export function addressOf(change: LeaseChange): Ipv4 {
  return change.kind === "lease" ? change.lease.address : change.address;
}
