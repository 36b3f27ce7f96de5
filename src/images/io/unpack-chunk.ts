/** Unpacks a chunk into memory that is used again and again, so that an install of gigabytes leaves no garbage behind it. */
import { unpackStored } from "../zstd-stored.ts";
import { decodeChunk } from "./chunk-codec.ts";

/**
 * @param target as long as the plain chunk
 * @throws {DrpError} bundle.tampered: not a whole zstd frame, or another length
 */
export async function unpackChunk(frame: Uint8Array, target: Buffer): Promise<void> {
  if (unpackStored(frame, target)) return;
  const decoded = await decodeChunk(frame, target.length);
  target.set(decoded);
  release(decoded);
}

/** Frees the memory now: V8 lets 60 MB of it pile up before it looks. What shares its memory with other buffers is left alone. */
function release(bytes: Buffer): void {
  const { buffer, byteOffset, length } = bytes;
  // node:zlib asks for one byte more than it needs (chunk-codec.ts).
  const isAlone = byteOffset === 0 && buffer.byteLength <= length + 1;
  if (isAlone && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
