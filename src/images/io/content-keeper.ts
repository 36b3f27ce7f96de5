/**
 * Keeps the bytes of files in the spool and finds their holes. What is a hole is decided by the bytes alone, a window at a
 * time, so that the same content gives the same image, wherever the program that made the archive saw holes.
 */

import type { Stretch } from "../tar-sparse.ts";
import type { ContentRun } from "../tree-node.ts";
import type { ContentSpool } from "./content-spool.ts";

/** Smaller holes would cost more in maps and extents than they save. */
const WINDOW_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(WINDOW_BYTES);

export class ContentKeeper {
  readonly #spool: ContentSpool;
  readonly #window = Buffer.alloc(WINDOW_BYTES);

  constructor(spool: ContentSpool) {
    this.#spool = spool;
  }

  /** @param content the bytes of the stretches, one after the other */
  async keep(
    content: AsyncIterable<Uint8Array>,
    stretches: readonly Stretch[],
    sizeBytes: number,
  ): Promise<ContentRun[]> {
    const runs: ContentRun[] = [];
    let windowAt = 0;
    let isTouched = false;
    const finishWindow = async () => {
      if (!isTouched) return;
      isTouched = false;
      const bytes = this.#window.subarray(0, Math.min(WINDOW_BYTES, sizeBytes - windowAt));
      if (bytes.equals(ZEROS.subarray(0, bytes.length))) return;
      addRun(runs, { offsetBytes: windowAt, sizeBytes: bytes.length, storedAtBytes: this.#spool.sizeBytes });
      await this.#spool.append(bytes);
      bytes.fill(0);
    };
    for await (const { offsetBytes, bytes } of placed(content, stretches)) {
      for (let taken = 0; taken < bytes.length; ) {
        const at = offsetBytes + taken;
        const within = at % WINDOW_BYTES;
        if (at - within !== windowAt) {
          await finishWindow();
          windowAt = at - within;
        }
        const count = Math.min(WINDOW_BYTES - within, bytes.length - taken);
        this.#window.set(bytes.subarray(taken, taken + count), within);
        isTouched = true;
        taken += count;
      }
    }
    await finishWindow();
    return runs;
  }
}

/** The bytes of an archive with where they belong in the file. */
async function* placed(
  content: AsyncIterable<Uint8Array>,
  stretches: readonly Stretch[],
): AsyncGenerator<{ offsetBytes: number; bytes: Uint8Array }, void, void> {
  let index = 0;
  let done = 0;
  for await (const piece of content) {
    for (let taken = 0; taken < piece.length; ) {
      const stretch = stretches[index];
      if (stretch === undefined) return;
      const count = Math.min(stretch.sizeBytes - done, piece.length - taken);
      yield { offsetBytes: stretch.offsetBytes + done, bytes: piece.subarray(taken, taken + count) };
      taken += count;
      done += count;
      if (done === stretch.sizeBytes) {
        index++;
        done = 0;
      }
    }
  }
}

function addRun(runs: ContentRun[], run: ContentRun): void {
  const last = runs.at(-1);
  const follows =
    last !== undefined &&
    last.offsetBytes + last.sizeBytes === run.offsetBytes &&
    last.storedAtBytes + last.sizeBytes === run.storedAtBytes;
  if (follows) runs[runs.length - 1] = { ...last, sizeBytes: last.sizeBytes + run.sizeBytes };
  else runs.push(run);
}
