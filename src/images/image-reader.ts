/** An image that is kept somewhere, by its chunks: how deltas and comparisons read one without knowing where it lies. */
import type { Payload } from "./manifest.ts";

export interface ImageReader {
  readonly payload: Payload;
  /**
   * @returns the plain bytes, null for a chunk of zeros; not yet compared with the digest
   * @throws whatever keeps it from being read
   */
  readonly readChunk: (index: number) => Promise<Buffer | null>;
}
