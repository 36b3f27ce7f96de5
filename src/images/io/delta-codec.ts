/** The zstd and the hash of deltas: node:zlib with a raw dictionary, in bounded memory on both sides. */
import { promisify } from "node:util";
import { constants, crc32, zstdCompress, zstdDecompress } from "node:zlib";
import type { DeltaCodec } from "../delta/codec.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/**
 * Level 12 with tables of 4 MiB, one for the dictionary and one for the literals, instead of up to 32 MiB each: a delta between two
 * Debian images is as small with it. Level 16 saves 3 % and takes ten times as long.
 */
const COMPRESSION = {
  [constants.ZSTD_c_compressionLevel]: 12,
  [constants.ZSTD_c_hashLog]: 20,
  [constants.ZSTD_c_chainLog]: 16,
};

/** A frame needs a window as long as its literals, 1 MiB at most; one that asks for more is not ours. */
const DECOMPRESSION = { [constants.ZSTD_d_windowLogMax]: 21 };

/** Room for literals that do not compress: where all of the output fits, zstd works from end to end without copies of its own. */
function outputBound(lengthBytes: number): number {
  return lengthBytes + (lengthBytes >> 7) + 1024;
}

export const deltaCodec: DeltaCodec = {
  hashBlock: block => crc32(block),
  compress: (literals, dictionary) =>
    compress(literals, {
      params: COMPRESSION,
      pledgedSrcSize: literals.length,
      chunkSize: outputBound(literals.length),
      ...(dictionary.length === 0 ? {} : { dictionary }),
    }),
  decompress: (frame, dictionary, lengthBytes) =>
    decompress(frame, {
      params: DECOMPRESSION,
      maxOutputLength: lengthBytes,
      // One byte over, so that all of it is one step and its end is seen in it.
      chunkSize: lengthBytes + 1,
      ...(dictionary.length === 0 ? {} : { dictionary }),
    }),
};
