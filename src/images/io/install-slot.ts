/** Writes an image into a slot, and reads a slot back to see where the disk holds something else. */
import { DrpError } from "../../core/errors.ts";
import { chunkDigest } from "../digest.ts";
import { CHUNK_BYTES, type Payload } from "../manifest.ts";
import type { Disk } from "./disk.ts";
import type { ImageChunk } from "./fetch-image.ts";

export type OnBytesDone = (doneBytes: number) => void;

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/**
 * A chunk of zeros is read before it is written: on a fresh disk that is cheaper, and keeps a sparse disk sparse.
 *
 * @param onBytesDone of all chunks so far
 */
export async function writeSlot(
  disk: Disk,
  slotOffsetBytes: number,
  chunks: AsyncIterable<ImageChunk>,
  onBytesDone: OnBytesDone,
): Promise<void> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let doneBytes = 0;
  for await (const chunk of chunks) {
    const offsetBytes = slotOffsetBytes + chunk.offsetBytes;
    const zeros = ZEROS.subarray(0, chunk.lengthBytes);
    if (chunk.bytes !== null) {
      await disk.write({ offsetBytes, bytes: chunk.bytes });
    } else {
      const present = buffer.subarray(0, chunk.lengthBytes);
      await disk.readInto(present, offsetBytes);
      if (!present.equals(zeros)) await disk.write({ offsetBytes, bytes: zeros });
    }
    doneBytes += chunk.lengthBytes;
    onBytesDone(doneBytes);
  }
  await disk.flush();
}

/** @throws {DrpError} disk.failed naming the first place where the disk gives back something else */
export async function verifySlot(
  disk: Disk,
  slotOffsetBytes: number,
  payload: Payload,
  onBytesDone: OnBytesDone,
): Promise<void> {
  for await (const chunk of compareSlot(disk, slotOffsetBytes, payload)) {
    if (!chunk.isEqual) {
      const offsetBytes = slotOffsetBytes + chunk.offsetBytes;
      throw new DrpError(
        "disk.failed",
        `${disk.path} gives back other bytes than were written, at ${offsetBytes}`,
        { advice: "Replace the disk.", facts: { disk: disk.path, offsetBytes } },
      );
    }
    onBytesDone(chunk.offsetBytes + chunk.lengthBytes);
  }
}

export interface ComparedChunk {
  /** Its place in the payload. */
  readonly index: number;
  /** In the raw image. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Whether the disk holds what the manifest names. */
  readonly isEqual: boolean;
}

/** Reads a slot from the disk itself, chunk by chunk. */
export async function* compareSlot(
  disk: Disk,
  slotOffsetBytes: number,
  payload: Payload,
): AsyncGenerator<ComparedChunk> {
  await disk.dropCache();
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (const [index, digest] of payload.chunks.entries()) {
    const offsetBytes = index * CHUNK_BYTES;
    const lengthBytes = Math.min(CHUNK_BYTES, payload.sizeBytes - offsetBytes);
    const bytes = buffer.subarray(0, lengthBytes);
    await disk.readInto(bytes, slotOffsetBytes + offsetBytes);
    const isEqual =
      digest === null ? bytes.equals(ZEROS.subarray(0, lengthBytes)) : chunkDigest(bytes) === digest;
    yield { index, offsetBytes, lengthBytes, isEqual };
  }
}
