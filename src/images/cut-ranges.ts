/** Cuts ranges of a raw image into the chunks that a manifest names; zeros that are known as such are never looked at. */
import { isZeroChunk } from "./chunker.ts";
import { CHUNK_BYTES } from "./manifest.ts";
import type { RawRange } from "./raw-range.ts";

export interface CutChunk {
  /** CHUNK_BYTES, but for the last one. */
  readonly lengthBytes: number;
  /** Memory of its own; null for zeros. */
  readonly bytes: Buffer | null;
}

export async function* cutRanges(ranges: AsyncIterable<RawRange>): AsyncGenerator<CutChunk, void, void> {
  // Undefined: nothing but zeros so far.
  let chunk: Buffer | undefined;
  let filled = 0;
  const finish = (): CutChunk => {
    const bytes = chunk?.subarray(0, filled);
    const cut = { lengthBytes: filled, bytes: bytes === undefined || isZeroChunk(bytes) ? null : bytes };
    chunk = undefined;
    filled = 0;
    return cut;
  };
  for await (const range of ranges) {
    const length = range.kind === "zeros" ? range.lengthBytes : range.bytes.length;
    for (let taken = 0; taken < length; ) {
      const count = Math.min(CHUNK_BYTES - filled, length - taken);
      if (range.kind === "data") {
        chunk ??= Buffer.alloc(CHUNK_BYTES);
        range.bytes.copy(chunk, filled, taken, taken + count);
      }
      taken += count;
      filled += count;
      if (filled === CHUNK_BYTES) yield finish();
    }
  }
  if (filled > 0) yield finish();
}
