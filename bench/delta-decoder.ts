/** Applies our.delta in a folder to the chunks beside it, and prints the most memory that this process has had, in bytes. */
import { open, readFile } from "node:fs/promises";
import path from "node:path";
import { json } from "node:stream/consumers";
import { chunkLength } from "../src/images/chunker.ts";
import { applyDelta } from "../src/images/delta/apply.ts";
import { decodeDeltaHeader, deltaHeaderBytes } from "../src/images/delta/header.ts";
import type { DeltaImage } from "../src/images/delta/process-messages.ts";
import type { ImageReader } from "../src/images/image-reader.ts";
import { decodeChunk } from "../src/images/io/chunk-codec.ts";
import { collectingReader } from "../src/images/io/collecting-reader.ts";
import { deltaCodec } from "../src/images/io/delta-codec.ts";

const [folder = ""] = process.argv.slice(2);
const { from, to } = (await json(process.stdin)) as { from: DeltaImage; to: DeltaImage };
const chunks: ImageReader = {
  payload: from.payload,
  readChunk: async index => {
    const digest = from.payload.chunks[index] ?? null;
    if (digest === null) return null;
    const frame = await readFile(path.join(folder, "chunks", digest));
    return await decodeChunk(frame, chunkLength(from.payload, index));
  },
};
const old = collectingReader(chunks, 2);
await using file = await open(path.join(folder, "our.delta"));
const header = Buffer.alloc(deltaHeaderBytes(to.payload));
await file.read(header, 0, header.length, 0);
const groups = decodeDeltaHeader(header, { from: from.digest, to: to.digest, payload: to.payload });
const source = file.createReadStream({ start: header.length, autoClose: false });
for await (const _chunk of applyDelta({ from: old, to: to.payload, groups, codec: deltaCodec }, source)) {
  // Each chunk has been compared with its digest.
}
process.stdout.write(String(process.resourceUsage().maxRSS * 1024));
