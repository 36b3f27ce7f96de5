/** Whom the hub believes: the key lists in its store, and how the next one comes to be the newest. */
import { DrpError } from "../core/errors.ts";
import type { EpochMs } from "../core/time.ts";
import { decideKeyLists, type KeyChain, newestKeyList } from "../images/key-chain.ts";
import type { SignedKeyList } from "../images/key-list.ts";
import { loadKeyChain } from "../rollout/io/load-key-chain.ts";
import type { KeyListRecord, Store, StoreChange } from "../store/ports.ts";
import { audit } from "./audit.ts";
import type { Caller } from "./route.ts";

/** How far ahead of the hub's clock the one may be that made a list. */
const CLOCK_SKEW_MS = 10 * 60_000;

/**
 * Makes the newest of these lists the fleet's. Given again, it changes nothing.
 *
 * @param lists oldest first; may begin with those that the hub has
 * @throws {DrpError} key-list.rejected with the reason; precondition.failed when somebody else was faster
 */
export async function publishKeyLists(
  store: Store,
  lists: readonly SignedKeyList[],
  caller: Caller,
  now: EpochMs,
): Promise<KeyChain> {
  const known = await loadKeyChain(store);
  const decision = decideKeyLists(known, lists);
  if (decision.kind === "unchanged") return known;
  if (decision.kind === "refused") throw rejected(decision.reason, decision.advice);
  const { chain } = decision;
  if (known.length === 0 && chain[0]?.list.version !== 1) {
    throw rejected(
      "the first list that a hub is given must be list 1",
      "Give the whole chain: drp images keys export",
    );
  }
  requireRightTime(known, chain, now);
  const outcome = await store.commit(
    chain.slice(known.length).flatMap(({ list, signed }): StoreChange[] => {
      const keyList: KeyListRecord = {
        version: list.version,
        signed,
        publishedAt: now,
        publishedBy: caller.name,
      };
      const names = list.keys.map(({ name }) => name).join(", ");
      return [
        { kind: "insert-key-list", keyList },
        audit({
          kind: "key-list.published",
          at: now,
          caller,
          did: `published key list ${list.version}: images are signed by ${names}`,
          facts: { version: list.version, signedBy: signed.signature?.keyId ?? "" },
        }),
      ];
    }),
  );
  if (outcome.kind === "committed") return chain;
  throw new DrpError("precondition.failed", `somebody else has just published key list ${known.length + 1}`, {
    advice: "See what it says (drp images keys list), then make yours on top of it.",
  });
}

/** Those who make lists have clocks, and a key that has expired signs nothing new, whatever date it writes. */
function requireRightTime(known: KeyChain, chain: KeyChain, now: EpochMs): void {
  const newest = newestKeyList(chain);
  if (newest !== undefined && Date.parse(newest.createdAt) > now + CLOCK_SKEW_MS) {
    throw rejected(
      `key list ${newest.version} says that it was made at ${newest.createdAt}; by the hub's clock it is ${new Date(now).toISOString()}`,
      "Set the clock that is wrong, and make the list again.",
    );
  }
  const before = newestKeyList(known);
  const signerId = chain[known.length]?.signed.signature?.keyId;
  const signer = before?.keys.find(({ keyId }) => keyId === signerId);
  if (signer?.expiresAt != null && Date.parse(signer.expiresAt) <= now) {
    throw rejected(
      `key ${signer.name}, which signs the new list, expired at ${signer.expiresAt}; by the hub's clock it is ${new Date(now).toISOString()}`,
      "Sign it with a key that has not expired.",
    );
  }
}

function rejected(message: string, advice: string): DrpError {
  return new DrpError("key-list.rejected", message, { advice });
}
