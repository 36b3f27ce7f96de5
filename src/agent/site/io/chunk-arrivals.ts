/** Machines that wait for a chunk which is on its way: they are told when it is there, and what keeps it from coming. */
import { DrpError, describeErrorChain } from "../../../core/errors.ts";
import type { ChunkDigest } from "../../../images/manifest.ts";

export class ChunkArrivals {
  readonly #waiting = new Map<ChunkDigest, PromiseWithResolvers<void>>();

  /**
   * @param waitMs below the time after which a machine calls its site dead
   * @throws {DrpError} timed-out, or what `fail` was told; the machine asks again
   */
  async wait(chunk: ChunkDigest, waitMs: number): Promise<void> {
    let waiting = this.#waiting.get(chunk);
    if (waiting === undefined) {
      waiting = Promise.withResolvers();
      // Nobody may be waiting any more when it fails.
      waiting.promise.catch(() => {});
      this.#waiting.set(chunk, waiting);
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(stillComing(chunk)), waitMs);
    });
    try {
      await Promise.race([waiting.promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  arrived(chunk: ChunkDigest): void {
    this.#waiting.get(chunk)?.resolve();
    this.#waiting.delete(chunk);
  }

  /** @param chunks that it keeps from coming */
  fail(chunks: Iterable<ChunkDigest>, error: unknown): void {
    if (this.#waiting.size === 0) return;
    for (const chunk of chunks) {
      this.#waiting.get(chunk)?.reject(error);
      this.#waiting.delete(chunk);
    }
  }
}

function stillComing(chunk: ChunkDigest): DrpError {
  return new DrpError("timed-out", `chunk ${chunk} is still on its way to this site`, {
    advice: "Wait: the machine asks again by itself. What holds images up is in: drp events list --site SITE",
  });
}

/** For a sentence that goes on with it. */
export function shortReason(error: unknown): string {
  return describeErrorChain(error).slice(0, 1000);
}
