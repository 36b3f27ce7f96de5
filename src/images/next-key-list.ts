/** Makes the list that follows a chain: some keys come, some go, and somebody must be left who can sign. */
import { formatIsoTime, parseIsoTime } from "../core/iso-time.ts";
import type { EpochMs } from "../core/time.ts";
import { type KeyChain, newestKeyList } from "./key-chain.ts";
import { type KeyList, type ListedKey, MAX_LISTED_KEYS } from "./key-list.ts";

export interface KeyListChange {
  readonly add: readonly ListedKey[];
  /** Names or key ids, also the beginning of one. */
  readonly retire: readonly string[];
  readonly now: EpochMs;
}

export type NextKeyList =
  | { readonly kind: "next"; readonly list: KeyList }
  | { readonly kind: "refused"; readonly reason: string; readonly advice: string };

/** A key that is listed already takes the new name and expiry. */
export function nextKeyList(chain: KeyChain, { add, retire, now }: KeyListChange): NextKeyList {
  const before = newestKeyList(chain);
  const keys = new Map((before?.keys ?? []).map(key => [key.keyId, key]));
  for (const reference of retire) {
    const found = [...keys.values()].filter(key => key.name === reference || isIdOf(key, reference));
    const [key] = found;
    if (key === undefined || found.length > 1) {
      const names = [...keys.values()].map(({ name }) => name).join(", ");
      return refuse(
        `${found.length === 0 ? "no" : "more than one"} key of the list is ${reference}; it has ${names || "none"}`,
        "Name the key as `drp images keys list` shows it.",
      );
    }
    keys.delete(key.keyId);
  }
  for (const key of add) {
    const dropped = chain.findLast(({ list }) => list.keys.some(({ keyId }) => keyId === key.keyId));
    if (dropped !== undefined && dropped.list !== before) {
      return refuse(
        `key ${key.name} was rotated out by key list ${dropped.list.version + 1}`,
        "Make a new key: drp images keys create NAME",
      );
    }
    const namesake = [...keys.values()].find(({ keyId, name }) => name === key.name && keyId !== key.keyId);
    if (namesake !== undefined) {
      return refuse(`another key of the list is called ${key.name}`, "Give it another name with --name.");
    }
    keys.set(key.keyId, key);
  }
  if (keys.size > MAX_LISTED_KEYS) {
    return refuse(`a key list has at most ${MAX_LISTED_KEYS} keys`, "Retire those that nobody uses.");
  }
  const isUsable = ({ expiresAt }: ListedKey) => expiresAt === null || parseIsoTime(expiresAt) > now;
  if (![...keys.values()].some(isUsable)) {
    return refuse(
      "the new list would trust nobody",
      "Add a key that has not expired, in the same step: --add FILE",
    );
  }
  const list: KeyList = {
    formatVersion: 1,
    version: (before?.version ?? 0) + 1,
    createdAt: formatIsoTime(now),
    keys: [...keys.values()],
  };
  return { kind: "next", list };
}

function isIdOf({ keyId }: ListedKey, reference: string): boolean {
  return /^[0-9a-f]{8,64}$/.test(reference) && keyId.startsWith(reference);
}

function refuse(reason: string, advice: string): NextKeyList {
  return { kind: "refused", reason, advice };
}
