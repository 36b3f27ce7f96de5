/** Brings an image's chunks, and believes none before its digest is checked. */
import { DrpError } from "../../core/errors.ts";
import { chunkDigest } from "../digest.ts";
import type { ChunkDigest } from "../manifest.ts";
import { unpackChunk } from "./unpack-chunk.ts";

/**
 * Brings one chunk as a zstd frame.
 *
 * @param memory MAX_FRAME_BYTES long; may be used for the frame, so that the next one takes no memory
 * @param signal its bytes are no longer wanted
 */
export type FetchFrame = (digest: ChunkDigest, memory: Buffer, signal: AbortSignal) => Promise<Uint8Array>;

/**
 * Reads a chunk that this machine may have.
 *
 * @param target as long as the chunk; for readDirect()
 * @returns whether `target` was filled, with what is not yet compared with the digest
 */
export type ReadLocalChunk = (digest: ChunkDigest, target: Buffer) => Promise<boolean>;

export interface ChunkFetch {
  readonly digest: ChunkDigest;
  readonly fetchFrame: FetchFrame;
  /** Takes the chunk's plain bytes; as long as they are. */
  readonly target: Buffer;
  readonly frameMemory: Buffer;
  readonly signal: AbortSignal;
}

/**
 * A chunk that arrives with another content is asked for once more: a bit may have flipped on the way, a site may have evicted
 * it meanwhile.
 *
 * @throws {DrpError} bundle.tampered when a chunk is not what the manifest names, and whatever `fetchFrame` throws
 */
export async function fetchChunk(fetch: ChunkFetch): Promise<void> {
  try {
    await fetchOnce(fetch);
  } catch (error) {
    if (!(error instanceof DrpError) || error.code !== "bundle.tampered") throw error;
    await fetchOnce(fetch);
  }
}

async function fetchOnce({ digest, fetchFrame, target, frameMemory, signal }: ChunkFetch): Promise<void> {
  const frame = await fetchFrame(digest, frameMemory, signal);
  await unpackChunk(frame, target);
  // On the main thread: crypto.subtle's copy of each chunk costs as much as two thirds of the hash, and on this thread too.
  const actual = chunkDigest(target);
  if (actual === digest) return;
  throw new DrpError("bundle.tampered", `chunk ${digest} arrived with the content of ${actual}`, {
    advice: "Push the image again; if that does not help, someone changes it on the way.",
    facts: { chunk: digest },
  });
}
