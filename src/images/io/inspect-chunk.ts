/** Whether a chunk that was kept or fetched is still the one that it is called by. */
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import { chunkDigest } from "../digest.ts";
import { CHUNK_BYTES, type ChunkDigest } from "../manifest.ts";
import { splitFrames } from "../zstd-frames.ts";
import { decodeChunkUpTo } from "./chunk-codec.ts";
import type { ImageStore } from "./image-store.ts";

export interface InspectedChunk {
  /** As kept; 0 when it cannot be read at all. */
  readonly sizeBytes: number;
  /** What is wrong, to follow "it"; undefined: nothing. */
  readonly fault: string | undefined;
}

/**
 * @returns undefined when the chunk is not there
 * @throws what keeps the store from answering; a bad sector is no such thing
 */
export async function inspectChunk(
  store: ImageStore,
  digest: ChunkDigest,
): Promise<InspectedChunk | undefined> {
  let frame: Buffer | undefined;
  try {
    frame = await store.readChunk(digest);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { sizeBytes: 0, fault: `cannot be read: ${describeErrorChain(error)}` };
  }
  if (frame === undefined) return undefined;
  return { sizeBytes: frame.length, fault: await findFrameFault(digest, frame) };
}

/** @returns what is wrong, to follow "it"; undefined for exactly one zstd frame of exactly the named bytes */
export async function findFrameFault(digest: ChunkDigest, frame: Buffer): Promise<string | undefined> {
  if (frame.length === 0) return "is empty";
  try {
    const lengths: number[] = [];
    for await (const { length } of splitFrames(readOnce(frame))) lengths.push(length);
    if (lengths.length > 1) return `has ${frame.length - (lengths[0] ?? 0)} bytes after its end`;
    const bytes = await decodeChunkUpTo(frame, CHUNK_BYTES);
    return chunkDigest(bytes) === digest ? undefined : "holds other bytes than its name says";
  } catch (error) {
    return `cannot be read: ${describeErrorChain(error)}`;
  }
}

/** The disk's own word for rot, or a store whose answer is none. */
export function isUnreadable(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EIO" || (error instanceof DrpError && error.code === "storage.damaged");
}

async function* readOnce(frame: Buffer): AsyncGenerator<Buffer, void, void> {
  yield frame;
}
