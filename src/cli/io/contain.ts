/**
 * Runs a probe that is built on an old package: whatever it throws from a socket's callback, prints, or forgets to end
 * becomes an ordinary rejection. One probe at a time: both the exception and the console belong to the whole process.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** @throws whatever the probe threw, wherever it threw it; or "no answer within …" */
export async function contain<T>(timeoutMs: number, probe: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const { log, error } = console;
  const escaped = Promise.withResolvers<never>();
  const onUncaught = (thrown: unknown) => escaped.reject(thrown);
  process.on("uncaughtException", onUncaught);
  console.log = console.error = () => {};
  try {
    const late = sleep(timeoutMs, undefined, { signal: ended.signal }).then(() => {
      throw new Error(`no answer within ${timeoutMs / 1000} s`);
    });
    return await Promise.race([probe(ended.signal), escaped.promise, late]);
  } finally {
    ended.abort();
    // Sockets close a turn later, and may throw while they do.
    await sleep(10);
    process.off("uncaughtException", onUncaught);
    Object.assign(console, { log, error });
  }
}
