/** Writes an image into a slot, and reads a slot back to prove that the disk holds the image. */
import { DrpError } from "../../core/errors.ts";
import { chunkDigest } from "../digest.ts";
import { CHUNK_BYTES, type Payload } from "../manifest.ts";
import type { Disk } from "./disk.ts";
import type { ImageChunk } from "./fetch-image.ts";

export type OnBytesDone = (doneBytes: number) => void;

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** A chunk of zeros is read before it is written: on a fresh disk that is cheaper, and keeps a sparse disk sparse. */
export async function writeSlot(
  disk: Disk,
  slotOffsetBytes: number,
  chunks: AsyncIterable<ImageChunk>,
  onBytesDone: OnBytesDone,
): Promise<void> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
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
    onBytesDone(chunk.offsetBytes + chunk.lengthBytes);
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
  await disk.dropCache();
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (const [index, digest] of payload.chunks.entries()) {
    const chunkOffset = index * CHUNK_BYTES;
    const bytes = buffer.subarray(0, Math.min(CHUNK_BYTES, payload.sizeBytes - chunkOffset));
    await disk.readInto(bytes, slotOffsetBytes + chunkOffset);
    const isEqual =
      digest === null ? bytes.equals(ZEROS.subarray(0, bytes.length)) : chunkDigest(bytes) === digest;
    if (!isEqual) {
      throw new DrpError(
        "disk.failed",
        `${disk.path} gives back other bytes than were written, at ${slotOffsetBytes + chunkOffset}`,
        {
          advice: "Replace the disk.",
          facts: { disk: disk.path, offsetBytes: slotOffsetBytes + chunkOffset },
        },
      );
    }
    onBytesDone(chunkOffset + bytes.length);
  }
}
