/** Key lists for tests: real signatures, made in memory. */
import {
  type KeyList,
  type ListedKey,
  type SignedKeyList,
  signKeyList,
  unsignedKeyList,
} from "../../src/images/key-list.ts";
import type { TrustedKey } from "../../src/images/keys.ts";

const T0 = Date.parse("2026-01-01T00:00:00.000Z");
const DAY_MS = 86_400_000;

/** Named "key-0", "key-1", … */
export function listedKeys(keys: readonly TrustedKey[]): ListedKey[] {
  return keys.map(({ keyId, publicKeyPem }, index) => ({
    keyId,
    name: `key-${index}`,
    publicKeyPem,
    expiresAt: null,
  }));
}

/** Made a day later than the version before. */
export function keyListOf(version: number, keys: readonly ListedKey[]): KeyList {
  const createdAt = new Date(T0 + version * DAY_MS).toISOString();
  return { formatVersion: 1, version, createdAt, keys: [...keys] };
}

/** A chain of one list, which trusts these keys. */
export function firstKeyList(...keys: readonly TrustedKey[]): SignedKeyList[] {
  return [unsignedKeyList(keyListOf(1, listedKeys(keys)))];
}

/** The list that follows, signed by a key of the one before. */
export function signedKeyList(
  version: number,
  keys: readonly TrustedKey[],
  signer: { readonly privateKeyPem: string },
): SignedKeyList {
  return signKeyList(keyListOf(version, listedKeys(keys)), signer.privateKeyPem);
}
