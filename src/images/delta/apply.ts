/** Rebuilds an image from a delta that arrives as a stream, from its first group or from where an earlier run stopped. */
import { DecodeError } from "../../core/errors.ts";
import type { ImageReader } from "../image-reader.ts";
import type { Payload } from "../manifest.ts";
import type { DeltaCodec } from "./codec.ts";
import { DeltaDecoder, type RebuiltChunk } from "./decode.ts";
import { CHUNKS_PER_GROUP } from "./geometry.ts";
import type { GroupPlace } from "./header.ts";

export interface DeltaApplication {
  readonly from: ImageReader;
  readonly to: Payload;
  /** As decodeDeltaHeader() gives them. */
  readonly groups: readonly GroupPlace[];
  readonly codec: DeltaCodec;
  /** Where to begin; what was rebuilt before stays with the caller. */
  readonly firstGroup?: number;
}

/** The group that a chunk of the new image is in: where to begin when that chunk is the first that is missing. */
export function groupOfChunk(index: number): number {
  return Math.floor(index / CHUNKS_PER_GROUP);
}

/**
 * Memory: one group, its dictionary, and 8 chunks of the old image.
 *
 * @param source bytes of the delta from `groups[firstGroup].offsetBytes` on, in pieces of any size
 * @returns the chunks of the new image in order, each checked against the manifest
 * @throws {DecodeError} cut off, longer than its groups, or a group that breaks the format, with the offset
 * @throws {DrpError} bundle.tampered: a chunk is not the one that was signed
 */
export async function* applyDelta(
  application: DeltaApplication,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<RebuiltChunk, void, void> {
  const { from, to, groups, codec, firstGroup = 0 } = application;
  const decoder = new DeltaDecoder(from, to, codec);
  let group = firstGroup;
  for await (const bytes of cutGroups(groups.slice(firstGroup), source)) {
    const place = groups[group];
    if (place !== undefined) yield* decoder.decode(group, bytes, place);
    group++;
  }
}

async function* cutGroups(
  groups: readonly GroupPlace[],
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, void> {
  const pieces = source[Symbol.asyncIterator]();
  let piece: Uint8Array = new Uint8Array();
  try {
    for (const { offsetBytes, lengthBytes } of groups) {
      // Bounded by the header's check of each length.
      const bytes = Buffer.allocUnsafe(lengthBytes);
      for (let filled = 0; filled < lengthBytes; ) {
        if (piece.length === 0) {
          const next = await pieces.next();
          if (next.done) {
            throw new DecodeError(
              `the delta ends at offset ${offsetBytes + filled}, within the group at ${offsetBytes}`,
            );
          }
          piece = next.value;
        }
        const count = Math.min(lengthBytes - filled, piece.length);
        bytes.set(piece.subarray(0, count), filled);
        piece = piece.subarray(count);
        filled += count;
      }
      yield bytes;
    }
    while (piece.length === 0) {
      const next = await pieces.next();
      if (next.done) return;
      piece = next.value;
    }
    throw new DecodeError(`the delta has bytes after its last group, at offset ${endOf(groups)}`);
  } finally {
    await pieces.return?.();
  }
}

function endOf(groups: readonly GroupPlace[]): number {
  const last = groups.at(-1);
  return last === undefined ? 0 : last.offsetBytes + last.lengthBytes;
}
