/** Lays an image out as a site keeps it for its machines: a zstd frame for each chunk, named by its digest. */
import { createReadStream } from "node:fs";
import { mkdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { isZeroChunk, splitChunks } from "../src/images/chunker.ts";
import { chunkDigest } from "../src/images/digest.ts";
import { encodeChunk } from "../src/images/io/chunk-codec.ts";
import { mapInOrder } from "../src/images/io/task-window.ts";
import { CHUNK_BYTES, type ChunkDigest, type Payload } from "../src/images/manifest.ts";

const CHUNKS_AT_ONCE = 8;

/** @param folder of the server; the chunks come into "chunks" there */
export async function layChunks(image: string, folder: string): Promise<Payload> {
  await mkdir(path.join(folder, "chunks"), { recursive: true });
  const source = splitChunks(createReadStream(image, { highWaterMark: CHUNK_BYTES }));
  const chunks: (ChunkDigest | null)[] = [];
  const lay = async (chunk: Buffer): Promise<ChunkDigest | null> => {
    if (isZeroChunk(chunk)) return null;
    const digest = chunkDigest(chunk);
    await writeFile(path.join(folder, "chunks", digest), await encodeChunk(chunk));
    return digest;
  };
  for await (const digest of mapInOrder(source, CHUNKS_AT_ONCE, lay)) chunks.push(digest);
  const { size } = await stat(image);
  return { name: "rootfs.img", sizeBytes: size, chunkBytes: CHUNK_BYTES, chunks };
}
