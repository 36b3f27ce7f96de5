/** Ed25519 keys that sign images: reading them from PEM, and naming them. Where keys are kept is not known here. */
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import { DrpError } from "../core/errors.ts";
import type { ManifestSignature } from "./manifest.ts";

/** A public key that may vouch for images. */
export interface TrustedKey {
  /** SHA-256 of the key's SPKI form (RFC 8410), lower-case hexadecimal. */
  readonly keyId: string;
  readonly publicKeyPem: string;
  /** Set where the key was trusted once: why its signatures count no more. */
  readonly refusal?: KeyRefusal;
}

export interface KeyRefusal {
  /** "has expired", "was rotated out": continues "key ci (1f2e3d4c) …". */
  readonly why: string;
  /** What people call the key. */
  readonly keyName: string;
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

/** Detached Ed25519 (RFC 8032) over the text's UTF-8 bytes. @throws {DrpError} key.invalid */
export function signText(text: string, privateKeyPem: string): ManifestSignature {
  const { keyId, key } = parseSigningKey(privateKeyPem);
  return { formatVersion: 1, keyId, signature: sign(null, Buffer.from(text), key).toString("base64") };
}

/** Whether exactly this text was signed with the key. Which key the signature names is for the caller to look up. */
export function isSignedBy(text: string, { signature }: ManifestSignature, publicKeyPem: string): boolean {
  const key = createPublicKey(publicKeyPem);
  return verify(null, Buffer.from(text), key, Buffer.from(signature, "base64"));
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
