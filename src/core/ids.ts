/** Identifiers that we mint: a kind's letter, a dash, and random lower-case base32 (Crockford's alphabet). */

/** Fills a buffer with random bytes; injected so that tests can name their ids. */
export type RandomBytes = (count: number) => Uint8Array;

/** m: machine, i: install intent, r: rollout, t: API token, s: site. */
export type IdKind = "m" | "i" | "r" | "t" | "s";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
/** 50 bits: at 100,000 machines a collision has odds of 1 in 200,000, and the store's unique key catches it. */
const ID_CHARACTERS = 10;

/** "m-7h2k9q4dxw" */
export function mintId(kind: IdKind, randomBytes: RandomBytes): string {
  const characters = Array.from(randomBytes(ID_CHARACTERS), byte => ALPHABET[byte & 31]);
  return `${kind}-${characters.join("")}`;
}
