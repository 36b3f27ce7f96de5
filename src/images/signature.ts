/** Vouching for an image: an Ed25519 signature (RFC 8032) over the canonical manifest, and the check that believes it. */
import { DrpError } from "../core/errors.ts";
import { canonicalText } from "./canonical.ts";
import { isSignedBy, type KeyRefusal, signText, type TrustedKey } from "./keys.ts";
import { CHUNK_BYTES, type Manifest, type ManifestSignature } from "./manifest.ts";
import { malformedManifest, parseManifest } from "./parse-manifest.ts";

/** 65,536 chunk digests are 4.5 MB of JSON; the rest is kernel arguments and health checks. */
export const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

/** A manifest as it travels: the text that was signed, byte for byte, and its signature. */
export interface SignedManifest {
  readonly manifestText: string;
  readonly signature: ManifestSignature;
}

/** @throws {DrpError} key.invalid */
export function signManifest(manifestText: string, privateKeyPem: string): ManifestSignature {
  return signText(manifestText, privateKeyPem);
}

/**
 * Believes a manifest only when a trusted key signed exactly this text and the text is canonical and whole. The signature
 * comes first: a text that nobody vouches for is not even parsed.
 *
 * @throws {DrpError} signature.rejected naming the key id; version.unsupported; bundle.malformed naming the field
 */
export function verifyManifest(signed: SignedManifest, trustedKeys: readonly TrustedKey[]): Manifest {
  requireSignature(signed, trustedKeys);
  return readManifest(signed.manifestText);
}

/**
 * Reads a manifest that nobody vouches for, for who signs or only looks.
 *
 * @throws {DrpError} version.unsupported; bundle.malformed naming the field
 */
export function readManifest(manifestText: string): Manifest {
  const manifest = parseManifest(manifestText);
  if (canonicalText(manifest) !== manifestText) {
    throw malformedManifest("the manifest is not canonical JSON (RFC 8785)");
  }
  const names = new Set<string>();
  for (const { name, sizeBytes, chunks } of [...manifest.payloads, ...manifest.attachments]) {
    const expected = Math.ceil(sizeBytes / CHUNK_BYTES);
    if (chunks.length !== expected) {
      throw malformedManifest(`${name} of ${sizeBytes} bytes needs ${expected} chunks, not ${chunks.length}`);
    }
    if (names.has(name)) throw malformedManifest(`the manifest names ${name} twice`);
    names.add(name);
  }
  return manifest;
}

function requireSignature(
  { manifestText, signature }: SignedManifest,
  trustedKeys: readonly TrustedKey[],
): void {
  const { keyId } = signature;
  const trusted = trustedKeys.find(key => key.keyId === keyId);
  if (trusted === undefined) {
    throw new DrpError("signature.rejected", `the manifest is signed by key ${keyId}, which is not trusted`, {
      advice:
        "If you know this key, trust it with `drp images keys trust`; else sign with a key that is trusted.",
      facts: { keyId },
    });
  }
  if (!isSignedBy(manifestText, signature, trusted.publicKeyPem)) {
    throw new DrpError("signature.rejected", `the manifest is not what key ${keyId} signed`, {
      advice: "Fetch or build the bundle again; if that does not help, someone changed it on the way.",
      facts: { keyId },
    });
  }
  // Last, so that it says something about who signed and not about who claims to have.
  if (trusted.refusal !== undefined) throw refusedKey(keyId, trusted.refusal);
}

/** A signature that holds, by a key that counts no more. */
function refusedKey(keyId: string, { keyName, why }: KeyRefusal): DrpError {
  return new DrpError(
    "signature.rejected",
    `the manifest is signed by key ${keyName} (${keyId.slice(0, 16)}), which ${why}`,
    {
      advice: "Sign it with a key that counts (`drp images sign`), and push it again.",
      facts: { keyId },
    },
  );
}
