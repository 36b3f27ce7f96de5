/**
 * The list of keys that may sign images. Lists are numbered, and each one after the first is signed by a key of the list
 * before it, as a TUF root is (The Update Framework 1.0, §5.3): whoever knows one list can follow the chain to the newest, and
 * nobody in between can bring a key of their own. What a list says is read here; which list counts, key-chain.ts decides.
 */
import { z } from "zod";
import { DrpError } from "../core/errors.ts";
import { parseIsoTime } from "../core/iso-time.ts";
import { canonicalText } from "./canonical.ts";
import { parseTrustedKey, signText } from "./keys.ts";
import { signatureSchema } from "./manifest.ts";
import { describeSchemaIssue } from "./schema-issue.ts";

/** A key of each of some teams and of some spare ones; it bounds a list's size. */
export const MAX_LISTED_KEYS = 32;
/** 32 keys of 1 KiB, with room. */
const MAX_LIST_CHARACTERS = 64 * 1024;
/** A rotation each week for twenty years. */
export const MAX_KEY_LISTS = 1000;

export const keyNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

export const listedKeySchema = z.strictObject({
  /** SHA-256 of the key's SPKI form (RFC 8410), lower-case hexadecimal. */
  keyId: z.string().regex(/^[0-9a-f]{64}$/),
  name: keyNameSchema,
  publicKeyPem: z.string().max(1024),
  /** From then on its signatures count no more; null: until a later list leaves it out. */
  expiresAt: z.iso.datetime().nullable(),
});
export type ListedKey = z.infer<typeof listedKeySchema>;

const keyListSchema = z.strictObject({
  formatVersion: z.literal(1),
  /** One more than the list before. */
  version: z.int().min(1).max(MAX_KEY_LISTS),
  createdAt: z.iso.datetime(),
  keys: z.array(listedKeySchema).max(MAX_LISTED_KEYS),
});
export type KeyList = z.infer<typeof keyListSchema>;

/** A list as it travels: the text that was signed, byte for byte. Only a first list has no signature. */
export const signedKeyListSchema = z.object({
  /** Canonical JSON (RFC 8785). */
  listText: z.string().max(MAX_LIST_CHARACTERS),
  signature: signatureSchema.nullable(),
});
export type SignedKeyList = z.infer<typeof signedKeyListSchema>;

/** A whole chain, oldest first: what `drp images keys export` writes, and what machines fetch and keep. */
export const signedKeyListsSchema = z.array(signedKeyListSchema).max(MAX_KEY_LISTS);

/**
 * Reads one list, whoever signed it.
 *
 * @throws {DrpError} key-list.rejected naming the list's version where it can be read, and what is wrong with it
 */
export function parseKeyList(listText: string): KeyList {
  const parsed = keyListSchema.safeParse(parseJson(listText));
  if (!parsed.success) throw rejected(`the key list's ${describeSchemaIssue(parsed.error)}`);
  const list = parsed.data;
  const name = `key list ${list.version}`;
  if (canonicalText(list) !== listText) throw rejected(`${name} is not canonical JSON (RFC 8785)`);
  for (const key of list.keys) {
    if (parseTrustedKey(key.publicKeyPem).keyId !== key.keyId) {
      throw rejected(`${name}: the key id of ${key.name} is not that of its key`);
    }
  }
  for (const field of ["keyId", "name"] as const) {
    const seen = new Set<string>();
    for (const key of list.keys) {
      if (seen.has(key[field])) throw rejected(`${name} has ${key[field]} twice`);
      seen.add(key[field]);
    }
  }
  const createdAt = parseIsoTime(list.createdAt);
  if (!list.keys.some(key => key.expiresAt === null || parseIsoTime(key.expiresAt) > createdAt)) {
    throw rejected(
      `${name} would trust nobody: ${list.keys.length === 0 ? "it has no key" : "each of its keys has expired when it is made"}`,
      "Leave at least one key in it that has not expired.",
    );
  }
  return list;
}

/** @throws {DrpError} key.invalid */
export function signKeyList(list: KeyList, privateKeyPem: string): SignedKeyList {
  const listText = canonicalText(list);
  return { listText, signature: signText(listText, privateKeyPem) };
}

/** A fleet's first list needs no signature: who may bring it is decided by hand. */
export function unsignedKeyList(list: KeyList): SignedKeyList {
  return { listText: canonicalText(list), signature: null };
}

function rejected(message: string, advice = "Make it with `drp images keys rotate`."): DrpError {
  return new DrpError("key-list.rejected", message, { advice });
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
