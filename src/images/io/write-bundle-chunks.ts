/** The chunks of a bundle on their way into a store: each is proven against the signed manifest before it is kept. */
import { DrpError } from "../../core/errors.ts";
import { chunkLength, isZeroChunk } from "../chunker.ts";
import { chunkDigest } from "../digest.ts";
import type { ChunkDigest, ChunkedPart, Manifest } from "../manifest.ts";
import { type BundledChunk, type BundleReader, tamperedChunk } from "./bundle-reader.ts";
import { decodeChunk, encodeChunk } from "./chunk-codec.ts";
import type { ImageStore } from "./image-store.ts";
import { releaseMemory } from "./release-memory.ts";
import { TaskWindow } from "./task-window.ts";

export interface IngestProgress {
  /** Of the raw image, both. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Chunks hashed, compressed and written side by side: 2 MiB of memory each, enough to keep several cores and a disk busy. */
export const CHUNKS_AT_ONCE = 8;

/**
 * @param onWritten called for each chunk that was not there before
 * @throws {DrpError} bundle.tampered; what the reader and the store throw. Nothing is being written any more then
 */
export async function writeBundleChunks(
  reader: BundleReader,
  manifest: Manifest,
  store: ImageStore,
  onWritten: (digest: ChunkDigest) => void,
  onProgress?: (progress: IngestProgress) => void,
): Promise<void> {
  const parts = [...manifest.payloads, ...manifest.attachments];
  const totalBytes = parts.reduce((total, part) => total + part.sizeBytes, 0);
  let doneBytes = 0;
  const window = new TaskWindow(CHUNKS_AT_ONCE);
  try {
    for await (const chunk of reader.chunks(manifest)) {
      await window.start(async () => {
        const written = await keepChunk(chunk, store);
        if (written !== undefined) onWritten(written);
        releaseMemory(chunk.bytes);
        doneBytes += chunkLength(chunk.part, chunk.index);
        onProgress?.({ doneBytes, totalBytes });
      });
    }
    await window.finish();
  } finally {
    // Whoever clears up after a failure must not meet a chunk that is still being written.
    await window.settle();
  }
}

/**
 * What is stored is what was checked: a frame from the bundle is kept as it came, once its content is proven.
 *
 * @returns its digest when it was not there before
 * @throws {DrpError} bundle.tampered
 */
export async function keepChunk(
  { part, index, form, bytes }: BundledChunk,
  store: ImageStore,
): Promise<ChunkDigest | undefined> {
  const plain = form === "plain" ? bytes : await decodeFrame(part, index, bytes);
  const digest = part.chunks[index] ?? null;
  if (digest === null) {
    if (!isZeroChunk(plain)) throw tamperedChunk(part, index, "holds data where zeros were signed");
    return undefined;
  }
  if (chunkDigest(plain) !== digest) throw tamperedChunk(part, index, "is not the one that was signed");
  if (await store.hasChunk(digest)) return undefined;
  if (form === "frame") await store.writeChunk(digest, bytes);
  else {
    const frame = await encodeChunk(bytes);
    await store.writeChunk(digest, frame);
    releaseMemory(frame);
  }
  return digest;
}

async function decodeFrame(part: ChunkedPart, index: number, frame: Buffer): Promise<Buffer> {
  try {
    return await decodeChunk(frame, chunkLength(part, index));
  } catch (cause) {
    if (cause instanceof DrpError) throw tamperedChunk(part, index, "does not decompress to its size", cause);
    throw cause;
  }
}
