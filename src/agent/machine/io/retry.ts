/** Tries again while the site cannot be reached; a refusal is final. */
import { setTimeout as delay } from "node:timers/promises";
import { DrpError } from "../../../core/errors.ts";
import { formatDuration } from "../../../core/time.ts";
import { retryDelayMs } from "../backoff.ts";
import { explainError, type Say } from "./console.ts";

/** Two minutes of waiting in all: longer than a switch or a site agent takes to start. */
const MAX_TRIES = 10;

/**
 * @param what completes "… failed" on the console
 * @param signal ends the tries
 */
export async function retryWhileUnreachable<T>(
  what: string,
  say: Say,
  action: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    signal?.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      const isWorthIt =
        signal?.aborted !== true && error instanceof DrpError && error.code === "site.unreachable";
      if (!isWorthIt || failures === MAX_TRIES) throw error;
      const delayMs = retryDelayMs(failures, Math.random());
      say(`${what} failed, trying again in ${formatDuration(delayMs)}: ${explainError(error)}`);
      await delay(delayMs, undefined, { signal });
    }
  }
}
