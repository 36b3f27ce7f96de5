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
  for await (const chunk of chunks) {
    const offsetBytes = slotOffsetBytes + chunk.offsetBytes;
    if (chunk.bytes !== null) {
      await disk.write({ offsetBytes, bytes: chunk.bytes });
    } else if (!isZeros(await disk.read(offsetBytes, chunk.lengthBytes))) {
      await disk.write({ offsetBytes, bytes: ZEROS.subarray(0, chunk.lengthBytes) });
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
  for (const [index, digest] of payload.chunks.entries()) {
    const chunkOffset = index * CHUNK_BYTES;
    const lengthBytes = Math.min(CHUNK_BYTES, payload.sizeBytes - chunkOffset);
    const bytes = await disk.read(slotOffsetBytes + chunkOffset, lengthBytes);
    const isEqual = digest === null ? isZeros(bytes) : chunkDigest(bytes) === digest;
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
    onBytesDone(chunkOffset + lengthBytes);
  }
}

function isZeros(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length));
}
