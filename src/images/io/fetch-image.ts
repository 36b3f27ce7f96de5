/** Brings an image's chunks, from this machine where it has them and from the site otherwise; believes none unchecked. */
import { webcrypto } from "node:crypto";
import { DrpError } from "../../core/errors.ts";
import type { ChunkDigest } from "../manifest.ts";
import { decodeChunk } from "./chunk-codec.ts";

/**
 * Brings one chunk as a zstd frame.
 *
 * @param signal its bytes are no longer wanted
 */
export type FetchFrame = (digest: ChunkDigest, signal: AbortSignal) => Promise<Uint8Array>;

/**
 * Reads a chunk that this machine may have.
 *
 * @returns plain bytes, not yet compared with the digest; undefined where it has none
 */
export type ReadLocalChunk = (digest: ChunkDigest, lengthBytes: number) => Promise<Uint8Array | undefined>;

/** SHA-256 in Node's thread pool: the main thread hashes 1.8 GB/s at best, and has connections to look after. */
export async function hashChunk(bytes: Uint8Array): Promise<ChunkDigest> {
  // DOM's type refuses shared memory, which no Buffer of ours is.
  const digest = await webcrypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Buffer.from(digest).toString("hex");
}

/**
 * A chunk that arrives with another content is asked for once more: a bit may have flipped on the way, a site may have evicted
 * it meanwhile.
 *
 * @throws {DrpError} bundle.tampered when a chunk is not what the manifest names, and whatever `fetchFrame` throws
 */
export async function fetchChunk(
  digest: ChunkDigest,
  lengthBytes: number,
  fetchFrame: FetchFrame,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    return await fetchOnce(digest, lengthBytes, fetchFrame, signal);
  } catch (error) {
    if (!(error instanceof DrpError) || error.code !== "bundle.tampered") throw error;
    return await fetchOnce(digest, lengthBytes, fetchFrame, signal);
  }
}

async function fetchOnce(
  digest: ChunkDigest,
  lengthBytes: number,
  fetchFrame: FetchFrame,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await decodeChunk(await fetchFrame(digest, signal), lengthBytes);
  const actual = await hashChunk(bytes);
  if (actual === digest) return bytes;
  throw new DrpError("bundle.tampered", `chunk ${digest} arrived with the content of ${actual}`, {
    advice: "Push the image again; if that does not help, someone changes it on the way.",
    facts: { chunk: digest },
  });
}
