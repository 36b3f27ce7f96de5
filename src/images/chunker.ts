/** Cuts a stream of bytes into the chunks that a manifest names, however the stream was cut before. */
import { CHUNK_BYTES } from "./chunk-bytes.ts";
import type { ChunkedPart } from "./manifest.ts";

/**
 * @returns chunks of CHUNK_BYTES, the last one shorter when the bytes do not fill it; each is memory of its own, which
 *   the consumer may keep
 */
export async function* splitChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, void> {
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let filled = 0;
  for await (const bytes of source) {
    for (let taken = 0; taken < bytes.length; ) {
      const count = Math.min(CHUNK_BYTES - filled, bytes.length - taken);
      chunk.set(bytes.subarray(taken, taken + count), filled);
      taken += count;
      filled += count;
      if (filled === CHUNK_BYTES) {
        yield chunk;
        chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** @param chunk at most CHUNK_BYTES */
export function isZeroChunk(chunk: Uint8Array): boolean {
  return ZEROS.subarray(0, chunk.length).equals(chunk);
}

/** Bytes of the chunk at `index`: CHUNK_BYTES but for the last one; 0 beyond the part's end. */
export function chunkLength(part: Pick<ChunkedPart, "sizeBytes">, index: number): number {
  return Math.max(0, Math.min(CHUNK_BYTES, part.sizeBytes - index * CHUNK_BYTES));
}

/** Bytes of the part that are not in chunks of zeros. */
export function countDataBytes(part: ChunkedPart): number {
  return part.chunks.reduce(
    (sum, digest, index) => (digest === null ? sum : sum + chunkLength(part, index)),
    0,
  );
}
