/** Tries again while the site cannot be reached, or fetches itself what it is asked for; a refusal is final. */
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
  let saidComing = false;
  for (let failures = 1; ; failures++) {
    signal?.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      if (signal?.aborted === true || !(error instanceof DrpError)) throw error;
      if (error.code === "timed-out") {
        // The site is there and at it, however long that takes: no failure, and nothing to say twice.
        if (!saidComing) say(`${what}: ${error.message}`);
        saidComing = true;
        failures = 0;
        await delay(retryDelayMs(1, Math.random()), undefined, { signal });
        continue;
      }
      if (error.code !== "site.unreachable" || failures === MAX_TRIES) throw error;
      const delayMs = retryDelayMs(failures, Math.random());
      say(`${what} failed, trying again in ${formatDuration(delayMs)}: ${explainError(error)}`);
      await delay(delayMs, undefined, { signal });
    }
  }
}
