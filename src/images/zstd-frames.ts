/** Finds where one chunk's zstd frame ends and the next begins (RFC 8878 §3.1.1), without decompressing anything. */
import { DecodeError } from "../core/errors.ts";
import { CHUNK_BYTES } from "./manifest.ts";

/** zstd's own bound for CHUNK_BYTES that do not compress (ZSTD_compressBound). */
export const MAX_FRAME_BYTES = CHUNK_BYTES + CHUNK_BYTES / 256;
const MAGIC = 0xfd2fb528;
/** Bytes of the content size field by its flag, in a single-segment frame. */
const CONTENT_SIZE_BYTES = [1, 2, 4, 8] as const;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const RUN_LENGTH_BLOCK = 1;
const RESERVED_BLOCK = 3;

/**
 * Cuts a zstd file into its frames. Only frames that a chunk can be are let through: single-segment, which bounds the memory
 * of every decoder to the content size; no dictionary; at most CHUNK_BYTES of content.
 *
 * @throws {DecodeError} with the offset in bytes
 */
export async function* splitFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, void> {
  const buffer = Buffer.allocUnsafe(MAX_FRAME_BYTES);
  let filled = 0;
  let offsetBytes = 0;
  for await (const bytes of source) {
    for (let taken = 0; taken < bytes.length; ) {
      const count = Math.min(buffer.length - filled, bytes.length - taken);
      buffer.set(bytes.subarray(taken, taken + count), filled);
      taken += count;
      filled += count;
      let start = 0;
      for (;;) {
        const length = measureFrame(buffer.subarray(start, filled), offsetBytes);
        if (length === undefined) break;
        yield Buffer.from(buffer.subarray(start, start + length));
        start += length;
        offsetBytes += length;
      }
      buffer.copyWithin(0, start, filled);
      filled -= start;
      if (filled === buffer.length) {
        throw new DecodeError(`the zstd frame at byte ${offsetBytes} is longer than any chunk's`);
      }
    }
  }
  if (filled > 0) throw new DecodeError(`the zstd frame at byte ${offsetBytes} is cut after ${filled} bytes`);
}

/** @throws {DecodeError} unless `frame` is one frame that a chunk can be, and nothing else */
export function requireChunkFrame(frame: Buffer): void {
  const length = measureFrame(frame, 0);
  if (length === undefined) throw new DecodeError(`the zstd frame is cut after ${frame.length} bytes`);
  if (length < frame.length)
    throw new DecodeError(`the zstd frame ends at byte ${length} of ${frame.length}`);
}

/** Length of the frame that `bytes` begins with; undefined while its end is not in sight. */
function measureFrame(bytes: Buffer, offsetBytes: number): number | undefined {
  if (bytes.length < 5) return undefined;
  const fail = (what: string): DecodeError =>
    new DecodeError(`the zstd frame at byte ${offsetBytes} ${what}`);
  if (bytes.readUInt32LE(0) !== MAGIC) throw fail("does not begin with zstd's magic number");
  const descriptor = bytes.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment || (descriptor & 0x0b) !== 0) throw fail("is not made for one chunk");

  const contentSizeBytes = CONTENT_SIZE_BYTES[(descriptor >> 6) as 0 | 1 | 2 | 3];
  let position = 5 + contentSizeBytes;
  if (bytes.length < position) return undefined;
  if (readContentSize(bytes, contentSizeBytes) > CHUNK_BYTES)
    throw fail("claims more bytes than a chunk has");

  for (let isLast = false; !isLast; ) {
    if (bytes.length < position + BLOCK_HEADER_BYTES) return undefined;
    const header = bytes.readUIntLE(position, BLOCK_HEADER_BYTES);
    const kind = (header >> 1) & 3;
    if (kind === RESERVED_BLOCK) throw fail("holds a block of a reserved kind");
    isLast = (header & 1) !== 0;
    position += BLOCK_HEADER_BYTES + (kind === RUN_LENGTH_BLOCK ? 1 : header >> 3);
  }
  const length = position + ((descriptor & 0x04) === 0 ? 0 : CHECKSUM_BYTES);
  return bytes.length < length ? undefined : length;
}

/** The two-byte form counts from 256 (RFC 8878 §3.1.1.1.4). */
function readContentSize(bytes: Buffer, fieldBytes: 1 | 2 | 4 | 8): number {
  if (fieldBytes === 1) return bytes.readUInt8(5);
  if (fieldBytes === 2) return bytes.readUInt16LE(5) + 256;
  if (fieldBytes === 4) return bytes.readUInt32LE(5);
  return Number(bytes.readBigUInt64LE(5));
}
