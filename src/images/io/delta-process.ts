/** The parent's end of a delta process: starts it for one delta, tells it where chunks lie, hears of its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import type {
  ChunkPlace,
  ChunkQuestion,
  DeltaJob,
  FromDeltaProcess,
  MadeDelta,
  ToDeltaProcess,
} from "../delta/process-messages.ts";

export interface DeltaProcessOptions {
  /** Program and arguments: [process.execPath, "src/main.ts", "delta-process"], or [process.execPath, "delta-process"]. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly placeOf: (question: ChunkQuestion) => Promise<ChunkPlace>;
  /** Of both images. */
  readonly onBytesDone: (doneBytes: number) => void;
  /** Ends the process; what it had written of the delta is left for `removeUnfinished`. */
  readonly signal: AbortSignal;
}

/**
 * Keeps the process small: new objects in 1 MiB instead of 16, no arena for each thread, and every buffer in a mapping of its own,
 * which freeing gives back to the system.
 */
const ENV = {
  NODE_OPTIONS: "--max-semi-space-size=1",
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "131072",
};

/**
 * Resolves when the delta lies at its path, whole and fsynced.
 *
 * @throws {DrpError} internal, with what the process said or how it ended
 */
export async function runDeltaJob(job: DeltaJob, options: DeltaProcessOptions): Promise<MadeDelta> {
  const [program, ...args] = options.command;
  const child = spawn(program, args, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
    env: { ...process.env, ...ENV },
    signal: options.signal,
    killSignal: "SIGKILL",
  });
  const end = Promise.withResolvers<MadeDelta>();
  const fail = (how: string) => end.reject(new DrpError("internal", `the delta was not made: ${how}`));
  child.on("message", (message: FromDeltaProcess) => {
    switch (message.kind) {
      case "ask-place":
        void findPlace(options, message.question).then(place =>
          tell(child, { kind: "place", id: message.id, place }),
        );
        return;
      case "progress":
        options.onBytesDone(message.doneBytes);
        return;
      case "made":
        end.resolve(message.made);
        return;
      case "failed":
        fail(message.because);
        return;
    }
  });
  const ended = new Promise<void>(resolve => {
    child.once("error", error => {
      fail(error.message);
      // One that was told to end has yet to do so; one that never began ends with no other word.
      if (child.pid === undefined) resolve();
    });
    child.once("exit", (code, signal) => {
      fail(signal === null ? `its process ended with exit code ${code}` : `its process ended by ${signal}`);
      resolve();
    });
  });
  tell(child, { kind: "make", job });
  try {
    return await end.promise;
  } finally {
    // Not before it is gone: what it writes to may be removed next.
    await ended;
  }
}

async function findPlace({ placeOf }: DeltaProcessOptions, question: ChunkQuestion): Promise<ChunkPlace> {
  try {
    return await placeOf(question);
  } catch (error) {
    return { kind: "lost", because: describeErrorChain(error) };
  }
}

function tell(child: ChildProcess, message: ToDeltaProcess): void {
  // A child that has just ended: its "exit" event says so.
  if (child.connected) child.send(message, () => {});
}
