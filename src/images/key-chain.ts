/**
 * Which keys count: decided from the chain of key lists that somebody holds and the newest time that they can prove. A chain
 * only grows, and only by lists that its own keys signed; so a hub or site in wrong hands can keep a machine from news, but
 * cannot make it believe another key.
 */
import { DrpError } from "../core/errors.ts";
import { formatIsoTime, parseIsoTime } from "../core/iso-time.ts";
import type { EpochMs } from "../core/time.ts";
import { type KeyList, type ListedKey, parseKeyList, type SignedKeyList } from "./key-list.ts";
import { isSignedBy, type KeyRefusal, type TrustedKey } from "./keys.ts";

interface KeptList {
  readonly list: KeyList;
  readonly signed: SignedKeyList;
}

/** Oldest first, without gaps; empty: nobody is trusted yet. */
export type KeyChain = readonly KeptList[];

export type KeyListDecision =
  | { readonly kind: "accepted"; readonly chain: KeyChain }
  | { readonly kind: "unchanged" }
  | { readonly kind: "refused"; readonly reason: string; readonly advice: string };

/**
 * Decides whether offered lists carry the known chain further. Where nothing is known, the first list is believed as it
 * comes: how it comes (by an admin's hand, in the ramdisk) has to vouch for it.
 *
 * @param offered oldest first; may begin with lists that are known
 */
export function decideKeyLists(known: KeyChain, offered: readonly SignedKeyList[]): KeyListDecision {
  try {
    return followLists(known, offered);
  } catch (error) {
    if (!(error instanceof DrpError)) throw error;
    return refuse(error.message, error.advice);
  }
}

/**
 * Reads a chain that is held or handed over as a whole.
 *
 * @throws {DrpError} key-list.rejected naming the list and what is wrong with it
 */
export function parseKeyChain(lists: readonly SignedKeyList[]): KeyChain {
  const decision = decideKeyLists([], lists);
  if (decision.kind === "unchanged") return [];
  if (decision.kind === "accepted") return decision.chain;
  throw new DrpError("key-list.rejected", decision.reason, { advice: decision.advice });
}

export function newestKeyList(chain: KeyChain): KeyList | undefined {
  return chain.at(-1)?.list;
}

function followLists(known: KeyChain, offered: readonly SignedKeyList[]): KeyListDecision {
  const newest = newestKeyList(known);
  const chain = [...known];
  for (const signed of offered) {
    const list = parseKeyList(signed.listText);
    const same = known.find(kept => kept.list.version === list.version);
    if (same !== undefined) {
      if (same.signed.listText === signed.listText) continue;
      return refuse(
        `key list ${list.version} is another one than the list ${list.version} that is known here`,
        FOREIGN,
      );
    }
    const before = chain.at(-1)?.list;
    // Lists from before the first that is known: whoever knew that one had them judged then.
    if (before !== undefined && list.version < before.version) continue;
    const refusal = before === undefined ? undefined : refuseSuccessor(before, list, signed);
    if (refusal !== undefined) return refusal;
    chain.push({ list, signed });
  }
  if (chain.length > known.length) return { kind: "accepted", chain };
  const newestOffered = Math.max(0, ...offered.map(({ listText }) => parseKeyList(listText).version));
  if (newest !== undefined && newestOffered < newest.version) {
    return refuse(
      `the newest key list that was given is ${newestOffered}, and list ${newest.version} is known: what was rotated out does not come back`,
      "Restore the hub's key lists from a backup, or from a file of `drp images keys export`.",
    );
  }
  return { kind: "unchanged" };
}

function refuseSuccessor(before: KeyList, list: KeyList, signed: SignedKeyList): KeyListDecision | undefined {
  const name = `key list ${list.version}`;
  if (list.version !== before.version + 1) {
    return refuse(
      `${name} cannot follow list ${before.version}: list ${before.version + 1} is missing`,
      "Give the whole chain; `drp images keys export` writes it.",
    );
  }
  if (signed.signature === null) {
    return refuse(`${name} is not signed: only a first list needs no signature`, SIGN_BY_OLD);
  }
  const { keyId } = signed.signature;
  const signer = before.keys.find(key => key.keyId === keyId);
  if (signer === undefined) {
    return refuse(
      `${name} is signed by key ${keyId.slice(0, 16)}, which list ${before.version} does not have: the old list signs the new`,
      SIGN_BY_OLD,
    );
  }
  if (!isSignedBy(signed.listText, signed.signature, signer.publicKeyPem)) {
    return refuse(`${name} is not what key ${signer.name} signed`, FOREIGN);
  }
  if (parseIsoTime(list.createdAt) < parseIsoTime(before.createdAt)) {
    return refuse(
      `${name} says that it was made at ${list.createdAt}, before list ${before.version} of ${before.createdAt}`,
      "Set the clock of the computer that makes key lists, and make it again.",
    );
  }
  if (hasExpired(signer, parseIsoTime(list.createdAt))) {
    return refuse(
      `${name} was made at ${list.createdAt} and is signed by key ${signer.name}, which expired at ${signer.expiresAt}`,
      "Sign it with a key that had not expired by then.",
    );
  }
  return undefined;
}

/** What a time is known by: "this machine's clock", "key list 4". */
export interface TimeReading {
  readonly at: EpochMs;
  readonly by: string;
}

/**
 * The latest of what is read from clocks and of what the chain proves: a clock that stands or was set back does not bring an
 * expired key to life.
 */
export function provenTime(
  chain: KeyChain,
  ...readings: readonly [TimeReading, ...TimeReading[]]
): TimeReading {
  const newest = newestKeyList(chain);
  const all = [...readings];
  if (newest !== undefined)
    all.push({ at: parseIsoTime(newest.createdAt), by: `key list ${newest.version}` });
  return all.reduce((latest, reading) => (reading.at > latest.at ? reading : latest));
}

/** Every key that was ever listed, with why it counts no more where it does not; the newest list's come first. */
export function knownKeys(chain: KeyChain, time: TimeReading): TrustedKey[] {
  const keys = new Map<string, TrustedKey>();
  for (const [index, { list }] of [...chain.entries()].reverse()) {
    const next = chain[index + 1]?.list;
    for (const key of list.keys) {
      if (keys.has(key.keyId)) continue;
      const refusal = next === undefined ? refuseExpired(key, time) : rotatedOut(key, next);
      const { keyId, publicKeyPem } = key;
      keys.set(keyId, { keyId, publicKeyPem, ...(refusal === undefined ? {} : { refusal }) });
    }
  }
  return [...keys.values()];
}

function refuseExpired(key: ListedKey, time: TimeReading): KeyRefusal | undefined {
  if (!hasExpired(key, time.at)) return undefined;
  const now = formatIsoTime(time.at);
  return { keyName: key.name, why: `expired at ${key.expiresAt}; by ${time.by} it is ${now}` };
}

function rotatedOut(key: ListedKey, { version, createdAt }: KeyList): KeyRefusal {
  return { keyName: key.name, why: `was rotated out by key list ${version} at ${createdAt}` };
}

function hasExpired({ expiresAt }: ListedKey, at: EpochMs): boolean {
  return expiresAt !== null && at >= parseIsoTime(expiresAt);
}

const SIGN_BY_OLD = "Sign it with a key of the list before: drp images keys rotate … --sign-with OLD.key";
const FOREIGN = "Find out where it comes from: this is no list that this fleet's keys vouch for.";

function refuse(reason: string, advice = FOREIGN): KeyListDecision {
  return { kind: "refused", reason, advice };
}
