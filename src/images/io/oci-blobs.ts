/** Where the blobs of a container image come from, and the check that each of them passes while it streams by. */
import { createHash } from "node:crypto";
import { DrpError } from "../../core/errors.ts";
import { MAX_DOCUMENT_BYTES } from "../oci-documents.ts";
import type { OciDigest } from "../oci-reference.ts";

export interface OciBlobs {
  /** For errors. */
  readonly name: string;
  /** Not checked yet. @throws {DrpError} input.unreadable, registry.failed */
  read(digest: OciDigest, sizeBytes: number): AsyncIterable<Uint8Array>;
}

/**
 * The blob's bytes, never more than its size. Whoever reads to the end knows that they are the right ones; whoever stops before
 * knows nothing.
 *
 * @throws {DrpError} input.unreadable; what the source throws
 */
export async function* readVerified(
  blobs: OciBlobs,
  digest: OciDigest,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  const refuse = (what: string): DrpError =>
    new DrpError("input.unreadable", `${digest} of ${blobs.name} ${what}`, {
      advice: "Copy the image again, and find out who changed it.",
      facts: { digest, sizeBytes },
    });
  const hash = createHash("sha256");
  let doneBytes = 0;
  for await (const piece of blobs.read(digest, sizeBytes)) {
    doneBytes += piece.length;
    if (doneBytes > sizeBytes) throw refuse(`has more than the ${sizeBytes} bytes that its descriptor says`);
    hash.update(piece);
    yield piece;
  }
  if (doneBytes < sizeBytes) throw refuse(`ends after ${doneBytes} of ${sizeBytes} bytes`);
  if (`sha256:${hash.digest("hex")}` !== digest) throw refuse("has other bytes than its digest says");
}

/** @throws {DrpError} input.unreadable: other bytes, or more than a document may have */
export async function readDocument(blobs: OciBlobs, digest: OciDigest, sizeBytes: number): Promise<string> {
  if (sizeBytes > MAX_DOCUMENT_BYTES) {
    throw new DrpError("input.unreadable", `${digest} of ${blobs.name} is a document of ${sizeBytes} bytes`, {
      advice: `Documents have at most ${MAX_DOCUMENT_BYTES} bytes.`,
    });
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of readVerified(blobs, digest, sizeBytes)) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}
