/**
 * A delta on its way, applied as it streams. Only those of its groups are asked for whose chunks are not on this disk yet, so
 * that after a cut, a restart or a chunk that rotted the rest comes and nothing else.
 */

import { buffer } from "node:stream/consumers";
import { chunkLength } from "../../../images/chunker.ts";
import { applyDelta, groupOfChunk } from "../../../images/delta/apply.ts";
import { decodeDeltaHeader, deltaHeaderBytes, type GroupPlace } from "../../../images/delta/header.ts";
import type { ImageReader } from "../../../images/image-reader.ts";
import { decodeChunk } from "../../../images/io/chunk-codec.ts";
import { collectingReader } from "../../../images/io/collecting-reader.ts";
import { deltaCodec } from "../../../images/io/delta-codec.ts";
import type { ChunkDigest, Payload } from "../../../images/manifest.ts";
import type { TransferAnswer } from "../../site-protocol.ts";
import type { ImageCache, KnownImage } from "./image-cache.ts";

export interface DeltaDownload {
  readonly cache: ImageCache;
  readonly plan: Extract<TransferAnswer, { kind: "delta" }>;
  readonly from: KnownImage;
  readonly to: KnownImage;
  /** Bytes of the delta file; `end` does not belong to them. */
  readonly read: (start: number, end: number) => AsyncIterable<Buffer>;
  /** The frame of a chunk of the old image that rotted on this disk. */
  readonly fetchOldChunk: (chunk: ChunkDigest) => Promise<Buffer>;
}

/** Each collection stops the agent for some tens of milliseconds; 8 chunks more between two are 10 MB more of memory. */
const CHUNKS_BETWEEN_COLLECTIONS = 8;

export interface RebuiltChunk {
  readonly chunk: ChunkDigest;
  /** Plain, and proven. */
  readonly bytes: Buffer;
}

/**
 * @returns the chunks of the new image that are not on this disk yet, each proven
 * @throws what `applyDelta` throws for a delta that is none, and what the reading throws
 */
export async function* downloadDelta(download: DeltaDownload): AsyncGenerator<RebuiltChunk, void, void> {
  const { cache, from, to, read } = download;
  const payload = payloadOf(to);
  const header = await buffer(read(0, deltaHeaderBytes(payload)));
  const groups = decodeDeltaHeader(header, { from: from.digest, to: to.digest, payload });
  const oldImage = collectingReader(readerOf(download), CHUNKS_BETWEEN_COLLECTIONS);
  const isMissing = (chunk: ChunkDigest | null) => chunk !== null && !cache.hasChunk(chunk);
  for (const [first, last] of runsOf(neededGroups(payload, isMissing))) {
    const run = {
      from: oldImage,
      to: payload,
      groups: groups.slice(0, last + 1),
      codec: deltaCodec,
      firstGroup: first,
    };
    const rebuilt = applyDelta(run, read(startOf(groups, first), endOf(groups, last)));
    yield* takeMissing(rebuilt, payload, isMissing);
  }
}

/** In rising order. */
function neededGroups({ chunks }: Payload, isMissing: (chunk: ChunkDigest | null) => boolean): number[] {
  const needed = new Set<number>();
  for (const [index, chunk] of chunks.entries()) if (isMissing(chunk)) needed.add(groupOfChunk(index));
  return [...needed];
}

/** [1, 2, 3, 7] → [1, 3], [7, 7] */
function runsOf(numbers: readonly number[]): [first: number, last: number][] {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}

function startOf(groups: readonly GroupPlace[], group: number): number {
  return groups[group]?.offsetBytes ?? 0;
}

function endOf(groups: readonly GroupPlace[], group: number): number {
  const place = groups[group];
  return place === undefined ? 0 : place.offsetBytes + place.lengthBytes;
}

async function* takeMissing(
  rebuilt: ReturnType<typeof applyDelta>,
  { chunks }: Payload,
  isMissing: (chunk: ChunkDigest | null) => boolean,
): AsyncGenerator<RebuiltChunk, void, void> {
  for await (const { index, bytes } of rebuilt) {
    const chunk = chunks[index] ?? null;
    if (chunk !== null && bytes !== null && isMissing(chunk)) yield { chunk, bytes };
  }
}

/** The old image on this disk. A chunk of it that rotted comes over the line again: the hub counted on it. */
function readerOf({ cache, from, fetchOldChunk }: DeltaDownload): ImageReader {
  const payload = payloadOf(from);
  return {
    payload,
    readChunk: async index => {
      const chunk = payload.chunks[index] ?? null;
      if (chunk === null) return null;
      const length = chunkLength(payload, index);
      const kept = await cache.readChunk(chunk, length);
      if (kept !== undefined) return kept;
      // Given up meanwhile: its chunks would be nobody's.
      if (cache.image(from.digest) === undefined) throw new Error(`${from.name} is not here any more`);
      const frame = await fetchOldChunk(chunk);
      await cache.writeChunk(chunk, frame);
      return await decodeChunk(frame, length);
    },
  };
}

function payloadOf({ manifest, name }: KnownImage): Payload {
  const [payload] = manifest.payloads;
  if (payload === undefined) throw new RangeError(`${name} has no payload`);
  return payload;
}
