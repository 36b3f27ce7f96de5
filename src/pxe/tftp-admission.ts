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
 * busy. One look at each slot: in a flood this is asked 20,000 times a second.
 */
export function admitTransfer<S extends Slot>(
  slots: Iterable<S>,
  address: string,
  nowMs: number,
): Admission<S> {
  let total = 0;
  let own = 0;
  let ownConfirmed = 0;
  let silent: S | undefined;
  let ownSilent: S | undefined;
  const confirmed: S[] = [];
  for (const slot of slots) {
    total++;
    const isOwn = slot.address === address;
    if (isOwn) own++;
    if (slot.confirmed) {
      confirmed.push(slot);
      if (isOwn) ownConfirmed++;
    } else if (nowMs - slot.progressAtMs >= UNCONFIRMED_FOR_MS) {
      silent = longerResting(silent, slot);
      if (isOwn) ownSilent = longerResting(ownSilent, slot);
    }
  }
  if (own >= MAX_SLOTS_PER_ADDRESS) {
    if (ownSilent !== undefined) {
      return { kind: "replace", slot: ownSilent, reason: "never answered, and its client asks again" };
    }
    const reason = `${own} transfers of ${address} at once are the most`;
    // Where some may be a stranger's in its name, there will be room in a moment.
    return { kind: "refuse", reason, tell: ownConfirmed === own };
  }
  if (total < MAX_SLOTS) return { kind: "admit" };
  if (silent !== undefined) {
    return { kind: "replace", slot: silent, reason: "never answered, while others wait" };
  }
  return replaceOfLargest(confirmed, own) ?? refuseAll(total);
}

function refuseAll(total: number): { kind: "refuse"; reason: string; tell: boolean } {
  return { kind: "refuse", reason: `${total} transfers at once are the most`, tell: false };
}

function replaceOfLargest<S extends Slot>(slots: readonly S[], own: number): Admission<S> | undefined {
  const held = Map.groupBy(slots, slot => slot.address).values();
  const largest = held.reduce((most, some) => (some.length > most.length ? some : most), []);
  if (largest.length <= own + 1) return undefined;
  const slot = largest.reduce(longerResting<S>);
  return {
    kind: "replace",
    slot,
    reason: `one of ${largest.length} of ${slot.address}, while others wait`,
  };
}

function longerResting<S extends Slot>(one: S | undefined, other: S): S {
  return one === undefined || other.progressAtMs < one.progressAtMs ? other : one;
}
