/** The delta process: makes one delta and ends, so that neither the hub's event loop nor its memory has to do with it. */
import { constants, setPriority } from "node:os";
import { describeErrorChain } from "../core/errors.ts";
import type {
  ChunkPlace,
  ChunkQuestion,
  DeltaJob,
  FromDeltaProcess,
  ToDeltaProcess,
} from "./delta/process-messages.ts";
import { makeDelta } from "./io/make-delta.ts";

/** Ends with its delta, or when the parent ends, however that happens: the IPC channel closes. @returns the exit code */
export async function runDeltaProcess(): Promise<number> {
  if (process.send === undefined) {
    process.stderr.write('drp: "delta-process" is started by "drp serve", not by hand\n');
    return 2;
  }
  // Nobody waits for a delta as they wait for an address or a chunk.
  setPriority(constants.priority.PRIORITY_LOW);
  // Ctrl-C reaches the whole process group; the parent decides when this process ends.
  process.on("SIGINT", () => {});
  process.once("disconnect", () => process.exit(1));
  const job = Promise.withResolvers<DeltaJob>();
  const places = new Map<number, (place: ChunkPlace) => void>();
  process.on("message", (message: ToDeltaProcess) => {
    if (message.kind === "make") return job.resolve(message.job);
    places.get(message.id)?.(message.place);
    places.delete(message.id);
  });
  let nextQuestion = 1;
  const askPlace = (question: ChunkQuestion) =>
    new Promise<ChunkPlace>(resolve => {
      const id = nextQuestion++;
      places.set(id, resolve);
      void tell({ kind: "ask-place", id, question });
    });
  try {
    const onBytesDone = (doneBytes: number) => void tell({ kind: "progress", doneBytes });
    const made = await makeDelta(await job.promise, askPlace, onBytesDone);
    await tell({ kind: "made", made });
  } catch (error) {
    await tell({ kind: "failed", because: describeErrorChain(error) });
  }
  process.removeAllListeners("disconnect");
  if (process.connected) process.disconnect();
  return 0;
}

/** Resolves when the message is on its way. */
function tell(message: FromDeltaProcess): Promise<void> {
  // The parent may be gone already; then "disconnect" follows.
  return new Promise(resolve => process.send?.(message, undefined, {}, () => resolve()));
}
