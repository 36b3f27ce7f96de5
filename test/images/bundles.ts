/** Small images and bundles for tests: real tars, real signatures, made in memory. */
import { generateKeyPairSync } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import tar from "tar-stream";
import { canonicalText } from "../../src/images/canonical.ts";
import { isZeroChunk } from "../../src/images/chunker.ts";
import { chunkDigest, imageDigest } from "../../src/images/digest.ts";
import { encodeChunk } from "../../src/images/io/chunk-codec.ts";
import { keyIdOf, type TrustedKey } from "../../src/images/keys.ts";
import { CHUNK_BYTES, type ImageDigest, type Manifest } from "../../src/images/manifest.ts";
import { signManifest } from "../../src/images/signature.ts";

export interface TestKey extends TrustedKey {
  readonly privateKeyPem: string;
}

export function makeKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    keyId: keyIdOf(publicKey),
    publicKeyPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** A small generator (mulberry32), so that a failing seed can be run again. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that do not compress. */
export function noise(sizeBytes: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const words = new Uint32Array(Math.ceil(sizeBytes / 4)).map(() => random() * 2 ** 32);
  return Buffer.from(words.buffer, 0, sizeBytes);
}

/** Three chunks and a half: text, zeros, noise in a sea of zeros, a short one. */
export function smallImage(seed = 1): Buffer {
  const text = Buffer.alloc(CHUNK_BYTES, `the words of image ${seed}; `);
  const mostlyZero = Buffer.alloc(CHUNK_BYTES);
  noise(3000, seed).copy(mostlyZero, 40_000);
  return Buffer.concat([text, Buffer.alloc(CHUNK_BYTES), mostlyZero, noise(8192, seed + 1)]);
}

export function manifestOf(image: Buffer, changes: Partial<Manifest> = {}): Manifest {
  const chunks = cut(image).map(chunk => (isZeroChunk(chunk) ? null : chunkDigest(chunk)));
  return {
    formatVersion: 1,
    name: "golden",
    version: "1.0",
    architecture: "amd64",
    createdAt: "2026-01-02T03:04:05.000Z",
    release: 1,
    minimumRelease: 0,
    attachments: [],
    payloads: [{ name: "rootfs.img", sizeBytes: image.length, chunkBytes: CHUNK_BYTES, chunks }],
    kernelArguments: ["console=ttyS0"],
    healthChecks: [{ name: "kubelet", exec: ["/bin/true"], timeoutSeconds: 10 }],
    ...changes,
  };
}

export async function compressImage(image: Buffer): Promise<Buffer> {
  return Buffer.concat(await Promise.all(cut(image).map(encodeChunk)));
}

export function cut(image: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < image.length; at += CHUNK_BYTES) chunks.push(image.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

export type TarEntry = readonly [
  name: string | { readonly name: string; readonly type: "symlink" | "link"; readonly linkname: string },
  content: string | Buffer,
];

export async function makeTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const [header, content] of entries) {
    if (typeof header === "string") pack.entry({ name: header }, content);
    else pack.entry(header);
  }
  pack.finalize();
  return await buffer(pack);
}

export interface TestBundle {
  readonly bytes: Buffer;
  readonly entries: readonly TarEntry[];
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
}

/** @param form of the payload */
export async function makeBundle(
  image: Buffer,
  key: TestKey,
  form: "plain" | "frames" = "frames",
  changes: Partial<Manifest> = {},
): Promise<TestBundle> {
  const manifest = manifestOf(image, changes);
  const manifestText = canonicalText(manifest);
  const entries: TarEntry[] = [
    ["manifest.json", manifestText],
    ["manifest.sig", JSON.stringify(signManifest(manifestText, key.privateKeyPem))],
    form === "plain" ? ["rootfs.img", image] : ["rootfs.img.zst", await compressImage(image)],
  ];
  return { bytes: await makeTar(entries), entries, manifest, digest: imageDigest(manifestText) };
}

/** As a network would bring it: in pieces that match no border of the format. */
export function streamOf(bytes: Buffer, pieceBytes = 30_011): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  return Readable.from(pieces, { objectMode: false });
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
