/** What writing an image into a slot may leave out, decided from what is known of the slot. Reads and writes nothing. */
import { chunkLength } from "./chunker.ts";
import type { ChunkDigest, Payload } from "./manifest.ts";

/** What is known of a slot before it is filled. */
export type SlotPast =
  /** Where the image has zeros, the disk gives back zeros: a file that was just made, or a range the disk has zeroed. */
  | "zeroed"
  /** Another system's bytes, or none: hardly anything of it can be of use. */
  | "foreign"
  /** An image, whole or in part: an update's slot, or an install that was cut off. */
  | "image";

export type ChunkStep =
  | "skip"
  /** Over whatever is there. */
  | "write"
  /** Read what is there, and write what differs. */
  | "compare";

/** Of a disk that holds other bytes where zeros belong, one chunk in so many is read all the same: it may have a clean rest. */
const PROBE_EVERY = 16;

/**
 * On a foreign disk zeros are read before they are written, as long as they are there: on a fresh disk that is cheaper, and keeps a
 * sparse disk sparse; on a full one it would be work in vain.
 *
 * @param index the chunk's place in the payload
 * @param zerosWereThere whether the disk had the zeros that were looked for last
 */
export function decideChunk(
  digest: ChunkDigest | null,
  past: SlotPast,
  index: number,
  zerosWereThere: boolean,
): ChunkStep {
  if (past === "image") return "compare";
  if (digest !== null) return "write";
  if (past === "zeroed") return "skip";
  return zerosWereThere || index % PROBE_EVERY === 0 ? "compare" : "write";
}

/** Where the slot's bytes come from, in bytes of the raw image; the four are all of it. */
export interface FillTally {
  /** The slot had them, or they are zeros that needed no writing. */
  keptBytes: number;
  /** Zeros that were written. */
  zeroBytes: number;
  /** Read elsewhere on this machine. */
  localBytes: number;
  fetchedBytes: number;
}

/** A part of something, in bytes. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

const BLOCK_BYTES = 4096;
/** A disk writes 32 KiB as fast as it does two pieces of 4 KiB. */
const JOINED_GAP_BYTES = 32 * 1024;

/**
 * Where `wanted` differs from `present`, in whole blocks of 4 KiB; what lies close together is one range.
 *
 * @param wanted as long as `present`
 */
export function changedRanges(present: Uint8Array, wanted: Uint8Array): ByteRange[] {
  const ranges: { offsetBytes: number; lengthBytes: number }[] = [];
  for (let offsetBytes = 0; offsetBytes < wanted.length; offsetBytes += BLOCK_BYTES) {
    const end = Math.min(offsetBytes + BLOCK_BYTES, wanted.length);
    const block = Buffer.from(wanted.buffer, wanted.byteOffset + offsetBytes, end - offsetBytes);
    if (block.equals(present.subarray(offsetBytes, end))) continue;
    const last = ranges.at(-1);
    if (last !== undefined && offsetBytes - (last.offsetBytes + last.lengthBytes) <= JOINED_GAP_BYTES) {
      last.lengthBytes = end - last.offsetBytes;
    } else ranges.push({ offsetBytes, lengthBytes: end - offsetBytes });
  }
  return ranges;
}

/** The payload's ranges of zeros, neighbours as one. */
export function zeroRanges(payload: Payload): ByteRange[] {
  const ranges: { offsetBytes: number; lengthBytes: number }[] = [];
  for (const [index, digest] of payload.chunks.entries()) {
    if (digest !== null) continue;
    const offsetBytes = index * payload.chunkBytes;
    const last = ranges.at(-1);
    if (last !== undefined && last.offsetBytes + last.lengthBytes === offsetBytes) {
      last.lengthBytes += chunkLength(payload, index);
    } else ranges.push({ offsetBytes, lengthBytes: chunkLength(payload, index) });
  }
  return ranges;
}
