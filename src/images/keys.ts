/** Ed25519 keys that sign images: reading them from PEM, and naming them. Where keys are kept is not known here. */
import { createPrivateKey, createPublicKey, hash, type KeyObject } from "node:crypto";
import { DrpError } from "../core/errors.ts";

/** A public key that may vouch for images. */
export interface TrustedKey {
  /** SHA-256 of the key's SPKI form (RFC 8410), lower-case hexadecimal. */
  readonly keyId: string;
  readonly publicKeyPem: string;
}

/** @throws {DrpError} key.invalid: not PEM, a private key, or not Ed25519 */
export function parseTrustedKey(publicKeyPem: string): TrustedKey {
  // node:crypto would derive the public half of a private key: a secret that was handed in by mistake must be refused.
  if (publicKeyPem.includes("PRIVATE KEY")) {
    throw new DrpError("key.invalid", "this is a private key; a public key is needed", {
      advice: "Give the .pub file that was made with the key, and keep the .key file to yourself.",
    });
  }
  const key = requireEd25519(() => createPublicKey(publicKeyPem), "public");
  return { keyId: keyIdOf(key), publicKeyPem: key.export({ type: "spki", format: "pem" }).toString() };
}

/** @throws {DrpError} key.invalid: not PEM, encrypted, a public key, or not Ed25519 */
export function parseSigningKey(privateKeyPem: string): { readonly keyId: string; readonly key: KeyObject } {
  const key = requireEd25519(() => createPrivateKey(privateKeyPem), "private");
  return { keyId: keyIdOf(createPublicKey(key)), key };
}

export function keyIdOf(publicKey: KeyObject): string {
  return hash("sha256", publicKey.export({ type: "spki", format: "der" }));
}

function requireEd25519(read: () => KeyObject, kind: "public" | "private"): KeyObject {
  const advice = "Make a pair with `drp images keys create NAME`.";
  let key: KeyObject;
  try {
    key = read();
  } catch (cause) {
    throw new DrpError("key.invalid", `this is not a ${kind} key in PEM form`, { advice, cause });
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new DrpError("key.invalid", `the key is ${key.asymmetricKeyType}; images are signed with Ed25519`, {
      advice,
    });
  }
  return key;
}
