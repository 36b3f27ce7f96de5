/** Reads from the store whom the fleet believes: its chain of key lists, checked once and not again for every question. */
import type { EpochMs } from "../../core/time.ts";
import { type KeyChain, knownKeys, parseKeyChain, provenTime } from "../../images/key-chain.ts";
import type { SignedKeyList } from "../../images/key-list.ts";
import type { TrustedKey } from "../../images/keys.ts";
import type { Store } from "../../store/ports.ts";

/** Checking a hundred lists of four keys takes 0.2 s, in which the hub does nothing else. */
const checked = new WeakMap<Store, KeyChain>();

/**
 * @returns what the store holds now; the same object as long as no list has come or changed
 * @throws {DrpError} key-list.rejected naming the list and what is wrong with it
 */
export async function loadKeyChain(store: Store): Promise<KeyChain> {
  const lists = (await store.listKeyLists()).map(({ signed }) => signed);
  const known = checked.get(store);
  if (known !== undefined && isMadeOf(known, lists)) return known;
  const chain = parseKeyChain(lists);
  checked.set(store, chain);
  return chain;
}

/** Every key that was ever trusted, with why it counts no more where it does not. */
export async function loadKnownKeys(store: Store, now: EpochMs): Promise<readonly TrustedKey[]> {
  const chain = await loadKeyChain(store);
  return knownKeys(chain, provenTime(chain, { at: now, by: "the hub's clock" }));
}

/** All of them, byte for byte: comparing 200 KB takes no time, and no list can pass for another. */
function isMadeOf(chain: KeyChain, lists: readonly SignedKeyList[]): boolean {
  return (
    chain.length === lists.length &&
    chain.every(({ signed }, index) => {
      const list = lists[index];
      return (
        list?.listText === signed.listText &&
        list.signature?.keyId === signed.signature?.keyId &&
        list.signature?.signature === signed.signature?.signature
      );
    })
  );
}
