/** Unpacks a chunk into memory that is used again and again, so that an install of gigabytes leaves no garbage behind it. */
import { unpackStored } from "../zstd-stored.ts";
import { decodeChunk } from "./chunk-codec.ts";
import { releaseMemory } from "./release-memory.ts";

/**
 * @param target as long as the plain chunk
 * @throws {DrpError} bundle.tampered: not a whole zstd frame, or another length
 */
export async function unpackChunk(frame: Uint8Array, target: Buffer): Promise<void> {
  if (unpackStored(frame, target)) return;
  const decoded = await decodeChunk(frame, target.length);
  target.set(decoded);
  releaseMemory(decoded);
}
