/**
 * The signed description of an image: what it is, which bytes it has, how it boots and what proves its health.
 * The image's digest is the SHA-256 of the manifest's canonical form (RFC 8785), so signing the manifest binds
 * manifest → chunk digests → bytes.
 */
import { z } from "zod";
import { ARCHITECTURES } from "../core/architecture.ts";
import { CHUNK_BYTES } from "./chunk-bytes.ts";
import { chunkListSchema } from "./chunk-list.ts";

export { type ChunkDigest, chunkDigestSchema } from "./chunk-list.ts";
export { CHUNK_BYTES };

/** A manifest lists at most this many chunks: 64 GiB of image in 4.5 MB of JSON. */
export const MAX_CHUNKS = 65_536;

/** "sha256:" and the lower-case hexadecimal SHA-256 of the canonical manifest. */
export const imageDigestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/);
export type ImageDigest = z.infer<typeof imageDigestSchema>;

/** Letters, digits, dot, dash, underscore: safe in a URL, a kernel command line and a GRUB script. */
const word = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

/** One kernel argument; quotes, blanks, `$`, `;` and other shell or GRUB syntax are refused. */
const kernelArgument = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.,:=/@+-]{0,255}$/);

export const payloadSchema = z.strictObject({
  /** `rootfs.img` fills one slot of an A/B disk; `disk.img` fills a whole disk. */
  name: z.enum(["rootfs.img", "disk.img"]),
  /** Of the raw image: a whole number of 4 KiB blocks. */
  sizeBytes: z.int().positive().multipleOf(4096),
  chunkBytes: z.literal(CHUNK_BYTES),
  /** In order; null is a chunk of zeros. The last one may be short. */
  chunks: chunkListSchema(MAX_CHUNKS),
});
export type Payload = z.infer<typeof payloadSchema>;

/** Of one attachment; an SBOM of a Debian system with Kubernetes is 2–5 MB. */
export const MAX_ATTACHMENT_CHUNKS = 16;

/** What travels with an image and is not written to a slot: its bill of materials, and hooks for the machine's agent. */
export const attachmentSchema = z.strictObject({
  name: z.union([z.literal("sbom.json"), z.string().regex(/^hooks\/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)]),
  sizeBytes: z.int().positive(),
  chunkBytes: z.literal(CHUNK_BYTES),
  /** As a payload's: kept, fetched and checked in the same way. */
  chunks: chunkListSchema(MAX_ATTACHMENT_CHUNKS),
});
export type Attachment = z.infer<typeof attachmentSchema>;

/** What a bundle holds cut into chunks. */
export type ChunkedPart = Payload | Attachment;

/** Exit code 0 within the time limit is a pass; anything else is a fail. */
export const healthCheckSchema = z.strictObject({
  name: word,
  exec: z.array(z.string().min(1).max(1024)).min(1).max(32),
  timeoutSeconds: z.int().min(1).max(600),
});
export type HealthCheck = z.infer<typeof healthCheckSchema>;

export const manifestSchema = z.strictObject({
  formatVersion: z.literal(1),
  name: word,
  version: word,
  architecture: z.enum(ARCHITECTURES),
  createdAt: z.iso.datetime(),
  /** Counts up with every release of this name: below the fleet's floor nothing is rolled out again. */
  release: z.int().positive(),
  /** The oldest release that this image may replace, since both share one data partition; 0: any. */
  minimumRelease: z.int().nonnegative(),
  payloads: z.array(payloadSchema).length(1),
  /** In the order of the bundle, after the payloads; no name twice. */
  attachments: z.array(attachmentSchema).max(64),
  kernelArguments: z.array(kernelArgument).max(64),
  healthChecks: z.array(healthCheckSchema).max(64),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** Detached Ed25519 signature over the canonical manifest: the content of `manifest.sig`. */
export const signatureSchema = z.strictObject({
  formatVersion: z.literal(1),
  /** SHA-256 of the public key's SPKI form, lower-case hexadecimal. */
  keyId: z.string().regex(/^[0-9a-f]{64}$/),
  /** 64 bytes, base64. */
  signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
});
export type ManifestSignature = z.infer<typeof signatureSchema>;
