/** Whether machines of the site would still believe an image's signature; where not, the hub may have a newer one. */
import type { EpochMs } from "../../core/time.ts";
import { knownKeys, parseKeyChain, provenTime } from "../../images/key-chain.ts";
import type { SignedKeyList } from "../../images/key-list.ts";
import type { ManifestSignature } from "../../images/manifest.ts";

/** By whose signature it is; that it holds, each machine checks for itself. */
export function signatureCounts(
  { keyId }: ManifestSignature,
  keyLists: readonly SignedKeyList[],
  now: EpochMs,
): boolean {
  const chain = parseKeyChain(keyLists);
  // Nobody is trusted yet: no newer signature would count either.
  if (chain.length === 0) return true;
  const key = knownKeys(chain, provenTime(chain, { at: now, by: "the site's clock" })).find(
    known => known.keyId === keyId,
  );
  return key !== undefined && key.refusal === undefined;
}
