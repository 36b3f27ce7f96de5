/**
 * Who may begin a transfer when many want to, so that neither a stranger's flood nor a machine that never ends keeps the
 * others out. Knows whose slots there are and since when they rest; neither files nor packets.
 */

/** A transfer, or a request whose file is being looked for. */
export interface Slot {
  readonly address: string;
  /** The client has answered from that address. */
  readonly confirmed: boolean;
  /** Of the same clock as `nowMs`. */
  readonly progressAtMs: number;
}

export type Admission<S extends Slot> =
  | { readonly kind: "admit" }
  /** Room is made by ending this one. */
  | { readonly kind: "replace"; readonly slot: S; readonly reason: string }
  /** @property tell false: say nothing, the client will ask again, and by then there may be room */
  | { readonly kind: "refuse"; readonly reason: string; readonly tell: boolean };

/** A file descriptor each; a site has a few machines, a burst of a large one has hundreds. */
const MAX_SLOTS = 500;
/** Firmware uses one; a rack behind one address translation as many as it has machines. */
const MAX_SLOTS_PER_ADDRESS = 64;
/** A client that is there answers in a millisecond; a flood opens at most 2,000 sockets a second. */
const UNCONFIRMED_FOR_MS = 250;

/**
 * A slot whose client never answered gives way first: its request may come in anybody's name. Then the address that holds
 * the most gives way to one that holds fewer, so that a few addresses cannot keep the rest out, however they pretend to be
 * busy.
 */
export function admitTransfer<S extends Slot>(
  slots: Iterable<S>,
  address: string,
  nowMs: number,
): Admission<S> {
  const all = [...slots];
  const own = all.filter(slot => slot.address === address);
  if (own.length >= MAX_SLOTS_PER_ADDRESS) {
    const silent = longestUnconfirmed(own, nowMs);
    return silent === undefined
      ? { kind: "refuse", reason: `${own.length} transfers of ${address} at once are the most`, tell: true }
      : { kind: "replace", slot: silent, reason: "never answered, and its client asks again" };
  }
  if (all.length < MAX_SLOTS) return { kind: "admit" };
  const silent = longestUnconfirmed(all, nowMs);
  if (silent !== undefined) {
    return { kind: "replace", slot: silent, reason: "never answered, while others wait" };
  }
  const largest = largestHolder(all);
  if (largest.length > own.length + 1) {
    const slot = longestResting(largest);
    const reason = `one of ${largest.length} of ${slot.address}, while others wait`;
    return { kind: "replace", slot, reason };
  }
  return { kind: "refuse", reason: `${all.length} transfers at once are the most`, tell: false };
}

function longestUnconfirmed<S extends Slot>(slots: readonly S[], nowMs: number): S | undefined {
  const silent = slots.filter(slot => !slot.confirmed && nowMs - slot.progressAtMs >= UNCONFIRMED_FOR_MS);
  return silent.length === 0 ? undefined : longestResting(silent as [S, ...S[]]);
}

function longestResting<S extends Slot>(slots: readonly S[]): S {
  return slots.reduce((longest, slot) => (slot.progressAtMs < longest.progressAtMs ? slot : longest));
}

/** @param slots at least one */
function largestHolder<S extends Slot>(slots: readonly S[]): readonly S[] {
  const byAddress = Map.groupBy(slots, slot => slot.address);
  return [...byAddress.values()].reduce((largest, held) => (held.length > largest.length ? held : largest));
}
