/** One delta, made from chunks that lie where somebody else says: the work of the delta process. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { DrpError } from "../../core/errors.ts";
import { chunkLength } from "../chunker.ts";
import type {
  ChunkPlace,
  ChunkQuestion,
  DeltaImage,
  DeltaJob,
  MadeDelta,
} from "../delta/process-messages.ts";
import { chunkDigest } from "../digest.ts";
import type { ImageReader } from "../image-reader.ts";
import type { ChunkDigest } from "../manifest.ts";
import { decodeChunk, encodeChunk } from "./chunk-codec.ts";
import { collectingReader } from "./collecting-reader.ts";
import { writeDelta } from "./delta-file.ts";

/** More seldom is not faster by much, and each one is a megabyte. */
const CHUNKS_BETWEEN_COLLECTIONS = 1;

type AskPlace = (question: ChunkQuestion) => Promise<ChunkPlace>;

/**
 * @param onBytesDone of both images
 * @throws {DrpError} image.unknown: a chunk is not there any more; bundle.tampered: it has rotted
 * @throws errno of the file that is written
 */
export async function makeDelta(
  job: DeltaJob,
  askPlace: AskPlace,
  onBytesDone: (doneBytes: number) => void,
): Promise<MadeDelta> {
  const { from, to, path } = job;
  const frameBytes = new Map<ChunkDigest, number>();
  const pair = {
    fromDigest: from.digest,
    from: collectingReader(
      readerOf("from", from, askPlace, () => {}),
      CHUNKS_BETWEEN_COLLECTIONS,
    ),
    toDigest: to.digest,
    // Only chunks that the old image does not have are read at all.
    to: collectingReader(
      readerOf("to", to, askPlace, (digest, sizeBytes) => frameBytes.set(digest, sizeBytes)),
      CHUNKS_BETWEEN_COLLECTIONS,
    ),
  };
  const { sizeBytes } = await writeDelta(path, pair, onBytesDone);
  const sha256 = createHash("sha256");
  await pipeline(createReadStream(path), sha256);
  return {
    sizeBytes,
    sha256: sha256.digest("hex"),
    wholeBytes: Array.from(frameBytes.values()).reduce((sum, size) => sum + size, 0),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** Each chunk is compared with its digest: a delta from rotten bytes would fail at every site. */
function readerOf(
  image: ChunkQuestion["image"],
  { payload }: DeltaImage,
  askPlace: AskPlace,
  onFrame: (digest: ChunkDigest, sizeBytes: number) => void,
): ImageReader {
  return {
    payload,
    readChunk: async index => {
      const digest = payload.chunks[index] ?? null;
      if (digest === null) return null;
      const place = await askPlace({ image, index });
      if (place.kind === "lost") {
        throw new DrpError("image.unknown", `chunk ${index} of ${payload.name}: ${place.because}`);
      }
      const frame = place.kind === "file" ? await readFile(place.path) : await encodeChunk(place.bytes);
      const bytes = await decodeChunk(frame, chunkLength(payload, index));
      if (chunkDigest(bytes) !== digest) {
        throw new DrpError(
          "bundle.tampered",
          `chunk ${index} of ${payload.name} is not the one that was signed`,
        );
      }
      onFrame(digest, frame.length);
      return bytes;
    },
  };
}
