/** A small signed image with chunks of every kind: plain, zero, repeated and short. */
import { generateKeyPairSync } from "node:crypto";
import { canonicalText } from "../../../../src/images/canonical.ts";
import { chunkDigest, imageDigest } from "../../../../src/images/digest.ts";
import { encodeChunk } from "../../../../src/images/io/chunk-codec.ts";
import { parseSigningKey, type TrustedKey } from "../../../../src/images/keys.ts";
import { CHUNK_BYTES, type ImageDigest, type Manifest } from "../../../../src/images/manifest.ts";
import { type SignedManifest, signManifest } from "../../../../src/images/signature.ts";
import { countingBytes } from "../../../images/disk/system-tools.ts";

export interface TestImage {
  readonly rootfs: Buffer;
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
  readonly signed: SignedManifest;
  readonly trustedKey: TrustedKey;
  /** By digest; a test may change them. */
  readonly frames: Map<string, Buffer>;
}

/** @param seed another one gives other plain chunks; zeros and the short last chunk are the same in all */
export async function createTestImage(change: Partial<Manifest> = {}, seed = 0): Promise<TestImage> {
  const plain = countingBytes(CHUNK_BYTES, seed);
  const rootfs = Buffer.concat([plain, Buffer.alloc(2 * CHUNK_BYTES), plain, countingBytes(12 * 4096, 9)]);
  const frames = new Map<string, Buffer>();
  const chunks: (string | null)[] = [];
  for (let offset = 0; offset < rootfs.length; offset += CHUNK_BYTES) {
    const bytes = rootfs.subarray(offset, offset + CHUNK_BYTES);
    const digest = chunkDigest(bytes);
    const isZero = bytes.every(byte => byte === 0);
    chunks.push(isZero ? null : digest);
    if (!isZero) frames.set(digest, await encodeChunk(bytes));
  }
  const manifest: Manifest = {
    formatVersion: 1,
    name: "shop",
    version: "v1",
    architecture: "amd64",
    createdAt: "2026-01-01T00:00:00Z",
    release: 1,
    minimumRelease: 0,
    attachments: [],
    payloads: [{ name: "rootfs.img", sizeBytes: rootfs.length, chunkBytes: CHUNK_BYTES, chunks }],
    kernelArguments: ["console=ttyS0"],
    healthChecks: [{ name: "true", exec: ["true"], timeoutSeconds: 5 }],
    ...change,
  };
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const manifestText = canonicalText(manifest);
  return {
    rootfs,
    manifest,
    digest: imageDigest(manifestText),
    signed: { manifestText, signature: signManifest(manifestText, privateKeyPem) },
    trustedKey: {
      keyId: parseSigningKey(privateKeyPem).keyId,
      publicKeyPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    },
    frames,
  };
}
