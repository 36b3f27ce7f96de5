/** Brings an image's chunks in order, a few ahead of the reader, and believes none before its digest is checked. */
import { DrpError } from "../../core/errors.ts";
import { chunkDigest } from "../digest.ts";
import { CHUNK_BYTES, type ChunkDigest, type Payload } from "../manifest.ts";
import { decodeChunk } from "./chunk-codec.ts";

export interface ImageChunk {
  /** In the raw image. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Plain and checked; null for zeros. */
  readonly bytes: Buffer | null;
}

/** Brings one chunk as a zstd frame. */
export type FetchFrame = (digest: ChunkDigest) => Promise<Uint8Array>;

/** Hides the network's latency; with frame and plain bytes of each, at most 12 MiB of memory. */
const CHUNKS_AHEAD = 6;

/**
 * @param indexes which chunks, by their place in the payload; all of them unless said otherwise
 * @throws {DrpError} bundle.tampered when a chunk is not what the manifest names, and whatever `fetchFrame` throws
 */
export async function* fetchImage(
  payload: Payload,
  fetchFrame: FetchFrame,
  indexes: Iterable<number> = payload.chunks.keys(),
): AsyncGenerator<ImageChunk> {
  const ahead: Promise<ImageChunk>[] = [];
  for (const index of indexes) {
    const digest = payload.chunks[index] ?? null;
    const offsetBytes = index * CHUNK_BYTES;
    const lengthBytes = Math.min(CHUNK_BYTES, payload.sizeBytes - offsetBytes);
    const chunk = fetchChunk(digest, lengthBytes, fetchFrame).then(bytes => ({
      offsetBytes,
      lengthBytes,
      bytes,
    }));
    // Its failure is met when its turn comes; until then it must not count as unhandled.
    chunk.catch(() => undefined);
    ahead.push(chunk);
    if (ahead.length >= CHUNKS_AHEAD) yield await takeFirst(ahead);
  }
  while (ahead.length > 0) yield await takeFirst(ahead);
}

async function takeFirst(ahead: Promise<ImageChunk>[]): Promise<ImageChunk> {
  const [first] = ahead.splice(0, 1);
  if (first === undefined) throw new RangeError("no chunk is under way");
  return await first;
}

async function fetchChunk(
  digest: ChunkDigest | null,
  lengthBytes: number,
  fetchFrame: FetchFrame,
): Promise<Buffer | null> {
  if (digest === null) return null;
  const bytes = await decodeChunk(await fetchFrame(digest), lengthBytes);
  const actual = chunkDigest(bytes);
  if (actual === digest) return bytes;
  throw new DrpError("bundle.tampered", `chunk ${digest} arrived with the content of ${actual}`, {
    advice: "Push the image again; if that does not help, someone changes it on the way.",
    facts: { chunk: digest },
  });
}
