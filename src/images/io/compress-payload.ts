/** Cuts, hashes and compresses a raw image in one pass, with every core, into the payload of a bundle. */
import { createWriteStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import { chunkLength } from "../chunker.ts";
import { type CutChunk, cutRanges } from "../cut-ranges.ts";
import { chunkDigest } from "../digest.ts";
import type { ImageReader } from "../image-reader.ts";
import { CHUNK_BYTES, type ChunkDigest, MAX_CHUNKS, type Payload } from "../manifest.ts";
import type { RawRange } from "../raw-range.ts";
import { decodeChunk, encodeChunk } from "./chunk-codec.ts";
import { mapInOrder } from "./task-window.ts";

export interface CompressedPayload extends ImageReader, AsyncDisposable {}

/** Compressed side by side; 2 MiB of memory each. */
const CHUNKS_AT_ONCE = 8;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/**
 * Each chunk becomes a zstd frame of its own (a file of many frames is a zstd file): zstd's own workers cannot be used,
 * node:zlib ends the stream early with them (seen with Node 24.21).
 *
 * @param out a file that must not exist
 * @param onProgress in bytes of the raw image
 * @returns the payload, which can be read back
 * @throws {DrpError} request.invalid for an image that no manifest can list; what `ranges` throws
 */
export async function compressPayload(
  name: Payload["name"],
  ranges: AsyncIterable<RawRange>,
  out: string,
  onProgress: (doneBytes: number) => void,
): Promise<CompressedPayload> {
  const chunks: (ChunkDigest | null)[] = [];
  const frames = [0];
  let sizeBytes = 0;
  const zeroFrame = encodeChunk(ZEROS);
  const hashAndCompress = ({ bytes, lengthBytes }: CutChunk): Promise<Buffer> => {
    if (chunks.length === MAX_CHUNKS) {
      throw new DrpError(
        "request.invalid",
        `the image has more than ${formatBytes(MAX_CHUNKS * CHUNK_BYTES)}, the most that is taken`,
        { advice: "Shrink it: what lies behind the last partition is not needed." },
      );
    }
    chunks.push(bytes === null ? null : chunkDigest(bytes));
    sizeBytes += lengthBytes;
    onProgress(sizeBytes);
    if (bytes !== null) return encodeChunk(bytes);
    return lengthBytes === CHUNK_BYTES ? zeroFrame : encodeChunk(ZEROS.subarray(0, lengthBytes));
  };
  await pipeline(
    () => mapInOrder(cutRanges(ranges), CHUNKS_AT_ONCE, async chunk => await hashAndCompress(chunk)),
    async function* (encoded: AsyncIterable<Buffer>) {
      for await (const frame of encoded) {
        frames.push((frames.at(-1) ?? 0) + frame.length);
        yield frame;
      }
    },
    createWriteStream(out, { flags: "wx" }),
  );
  const payload: Payload = { name, sizeBytes, chunkBytes: CHUNK_BYTES, chunks };
  return readBack(payload, frames, await open(out));
}

function readBack(payload: Payload, frames: readonly number[], file: FileHandle): CompressedPayload {
  return {
    payload,
    readChunk: async index => {
      if (payload.chunks[index] === null) return null;
      const start = frames[index] ?? 0;
      const frame = Buffer.alloc((frames[index + 1] ?? start) - start);
      await file.read(frame, 0, frame.length, start);
      return await decodeChunk(frame, chunkLength(payload, index));
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}
