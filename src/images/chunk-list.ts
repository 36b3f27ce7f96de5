/** The digests of a part's chunks as a manifest lists them, checked at once: one by one, 65,536 of them take zod 30 ms. */
import { z } from "zod";

/** Lower-case hexadecimal SHA-256 of a chunk's plain bytes. */
export const chunkDigestSchema = z.string().regex(/^[0-9a-f]{64}$/);
export type ChunkDigest = z.infer<typeof chunkDigestSchema>;

const DIGEST_CHARACTERS = 64;

/** Says of a list that is wrong what zod says of its elements. */
export function chunkListSchema(maxChunks: number) {
  const inWords = z.array(chunkDigestSchema.nullable()).min(1).max(maxChunks);
  return z.custom<z.infer<typeof inWords>>().superRefine((list: unknown, context) => {
    if (isChunkList(list, maxChunks)) return;
    for (const { path, message } of inWords.safeParse(list).error?.issues ?? []) {
      context.addIssue({ code: "custom", path, message });
    }
  });
}

function isChunkList(list: unknown, maxChunks: number): boolean {
  if (!Array.isArray(list) || list.length < 1 || list.length > maxChunks) return false;
  const isLong = (chunk: unknown) =>
    chunk === null || (typeof chunk === "string" && chunk.length === DIGEST_CHARACTERS);
  if (!list.every(isLong)) return false;
  // Null joins as nothing. What is not lower-case hexadecimal does not come back as it went.
  const digits = list.join("");
  return Buffer.from(digits, "hex").toString("hex") === digits;
}
