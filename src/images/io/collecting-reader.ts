/** Reads an image and keeps the process small meanwhile: V8 counts its own heap, and lets 64 MB of dead buffers lie beside it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { ImageReader } from "../image-reader.ts";

/** One for the process: each is a context of V8's, with a global object of its own. */
let collectGarbage: (() => void) | undefined;

/**
 * The same image; garbage is collected after each few chunks, which a moment after they were read are nothing else. Without it,
 * who makes or applies a delta takes 60 MB more. A collection costs some milliseconds for each 10 MB of living objects.
 *
 * @param chunks of 1 MiB between two collections
 */
export function collectingReader(reader: ImageReader, chunks: number): ImageReader {
  collectGarbage ??= garbageCollector();
  const collect = collectGarbage;
  let chunksRead = 0;
  return {
    payload: reader.payload,
    readChunk: index => {
      if (++chunksRead % chunks === 0) collect();
      return reader.readChunk(index);
    },
  };
}

function garbageCollector(): () => void {
  // Not as a flag of the process: with other flags than it was built with, the executable cannot use its code cache and has
  // to compile all of itself, which takes 35 MB.
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
