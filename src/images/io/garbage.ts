/** Collects garbage on demand: V8 counts its own heap, and lets megabytes of dead buffers lie beside it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * @returns a full collection, some milliseconds where the heap is small
 */
export function garbageCollector(): () => void {
  // Not as a flag of the process: with other flags than it was built with, the executable cannot use its code cache and has
  // to compile all of itself, which takes 35 MB.
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
