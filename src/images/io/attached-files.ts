/** What travels with an image, from files of the builder: a bill of materials, hooks. */
import { open } from "node:fs/promises";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import { isZeroChunk, splitChunks } from "../chunker.ts";
import { chunkDigest } from "../digest.ts";
import { type Attachment, CHUNK_BYTES, type ChunkDigest, MAX_ATTACHMENT_CHUNKS } from "../manifest.ts";

export interface AttachedFile {
  /** In the bundle: "sbom.json", "hooks/before-reboot". */
  readonly name: string;
  readonly path: string;
}

const MAX_BYTES = MAX_ATTACHMENT_CHUNKS * CHUNK_BYTES;

/**
 * In the same order.
 *
 * @throws {DrpError} input.unreadable: not there, empty or too large; request.invalid: two of one name
 */
export async function describeAttachments(files: readonly AttachedFile[]): Promise<Attachment[]> {
  const described: Attachment[] = [];
  for (const { name, path } of files) {
    if (described.some(other => other.name === name)) {
      throw new DrpError("request.invalid", `two files would be ${name} in the image`, {
        advice: "Give each hook a name of its own.",
      });
    }
    described.push({ name, ...(await cut(path)) });
  }
  return described;
}

async function cut(path: string): Promise<Omit<Attachment, "name">> {
  const chunks: (ChunkDigest | null)[] = [];
  let sizeBytes = 0;
  try {
    await using file = await open(path);
    for await (const chunk of splitChunks(file.createReadStream({ end: MAX_BYTES, autoClose: false }))) {
      sizeBytes += chunk.length;
      chunks.push(isZeroChunk(chunk) ? null : chunkDigest(chunk));
    }
  } catch (cause) {
    throw new DrpError("input.unreadable", `cannot read ${path}`, { advice: "Check the path.", cause });
  }
  if (sizeBytes === 0 || sizeBytes > MAX_BYTES) {
    const what = sizeBytes === 0 ? "is empty" : `has more than ${formatBytes(MAX_BYTES)}`;
    throw new DrpError("input.unreadable", `${path} ${what}, which cannot travel with an image`);
  }
  return { sizeBytes, chunkBytes: CHUNK_BYTES, chunks };
}
