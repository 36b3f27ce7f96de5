/** One chunk as it is stored and sent: one zstd frame (RFC 8878) of its plain bytes. Its digest is checked elsewhere. */
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { DrpError } from "../../core/errors.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Level 3 is zstd's own default: 330 MB/s a core here; higher levels pay only on the WAN, where deltas do the work. */
const ZSTD_LEVEL = 3;

/** node:zlib goes to its thread pool and back for each step; its default of 16 KiB would be 64 trips a chunk. */
const OUTPUT_STEP_BYTES = 512 * 1024;

export function encodeChunk(bytes: Uint8Array): Promise<Buffer> {
  return compress(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
    pledgedSrcSize: bytes.length,
    chunkSize: OUTPUT_STEP_BYTES,
  });
}

/**
 * @param expectedBytes length of the plain chunk; memory for more is never taken, whatever the frame claims
 * @throws {DrpError} bundle.tampered: not a whole zstd frame, or another length
 */
export async function decodeChunk(frame: Uint8Array, expectedBytes: number): Promise<Buffer> {
  const bytes = await decodeChunkUpTo(frame, expectedBytes);
  if (bytes.length !== expectedBytes) {
    throw new DrpError(
      "bundle.tampered",
      `a chunk of ${expectedBytes} bytes decompresses to ${bytes.length}`,
    );
  }
  return bytes;
}

/**
 * For a chunk whose digest alone is known: it says the length as well.
 *
 * @throws {DrpError} bundle.tampered: not a whole zstd frame, or more bytes
 */
export async function decodeChunkUpTo(frame: Uint8Array, maxBytes: number): Promise<Buffer> {
  try {
    return await decompress(frame, {
      maxOutputLength: maxBytes,
      // One byte over, so that a whole chunk is one step and its end is seen in it.
      chunkSize: Math.max(constants.Z_MIN_CHUNK, maxBytes + 1),
    });
  } catch (cause) {
    throw new DrpError("bundle.tampered", `a chunk of ${maxBytes} bytes does not decompress`, { cause });
  }
}
