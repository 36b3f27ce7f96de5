/** A raw image as it is read from a format that knows where it is empty: range after range, from its first byte to its last. */

export type RawRange =
  /** Known without reading anything; of any length. */
  | { readonly kind: "zeros"; readonly lengthBytes: number }
  | { readonly kind: "data"; readonly bytes: Buffer };

const ZEROS = Buffer.alloc(1024 * 1024);

/** @returns the bytes themselves; those of zeros are shared: not to be written to */
export async function* rawBytes(ranges: AsyncIterable<RawRange>): AsyncGenerator<Buffer, void, void> {
  for await (const range of ranges) {
    if (range.kind === "data") yield range.bytes;
    else
      for (let rest = range.lengthBytes; rest > 0; rest -= ZEROS.length) {
        yield ZEROS.subarray(0, Math.min(rest, ZEROS.length));
      }
  }
}
