/** Which chunks of an image are meant, in a bit each: 8 KiB for the largest image, where their digests are 4 MB. */
import type { ChunkDigest, Manifest } from "./manifest.ts";

/** The chunks of payloads and attachments in their order, each digest once. */
export function listChunks({
  payloads,
  attachments,
}: Pick<Manifest, "payloads" | "attachments">): ChunkDigest[] {
  const all = [...payloads, ...attachments].flatMap(({ chunks }) => chunks);
  return [...new Set(all.filter(chunk => chunk !== null))];
}

/** @param chunks as `listChunks` gives them @returns base64; low bits first */
export function encodeChunkBitmap(
  chunks: readonly ChunkDigest[],
  isMeant: (chunk: ChunkDigest) => boolean,
): string {
  const bits = Buffer.alloc(Math.ceil(chunks.length / 8));
  for (const [index, chunk] of chunks.entries()) {
    if (isMeant(chunk)) bits.writeUInt8(bits.readUInt8(index >> 3) | (1 << (index & 7)), index >> 3);
  }
  return bits.toString("base64");
}

/** @param chunks of the same image; bits beyond them, and those that are left out, count for nothing */
export function decodeChunkBitmap(chunks: readonly ChunkDigest[], bitmap: string): ChunkDigest[] {
  const bits = Buffer.from(bitmap, "base64");
  return chunks.filter((_, index) => ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0);
}
