/** Keeps images that nothing needs any more as deltas, and those that something needs again whole: after each push, and each hour. */
import { decidePrune } from "../../api/prune-images.ts";
import type { Clock } from "../../core/time.ts";
import { runDeltaJob } from "../../images/io/delta-process.ts";
import type { MakeDelta } from "../../images/io/image-store.ts";
import type { ImageRegistry } from "../../images/io/registry.ts";
import type { Store } from "../../store/ports.ts";

export interface ImageHistoryOptions {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "compact">;
  readonly deltaProcessCommand: readonly [program: string, ...args: string[]];
  readonly clock: Clock;
  readonly onError: (context: string, error: unknown) => void;
}

/** Machines move on without a push: what they ran is needed no more. */
const EVERY_MS = 60 * 60_000;
/** What nothing needs but its being the newest of its name. */
const ONLY_NEEDED = { keepNewest: 1, keepForMs: 0 };

export function keepImageHistory(options: ImageHistoryOptions): { stop(): Promise<void> } {
  const { store, registry, deltaProcessCommand: command, clock, onError } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const make: MakeDelta = (job, placeOf) =>
    runDeltaJob(job, { command, placeOf, onBytesDone: () => {}, signal });
  let running: Promise<void> | undefined;
  let isDue = false;

  async function work(): Promise<void> {
    while (isDue && !signal.aborted) {
      isDue = false;
      try {
        const verdicts = await decidePrune({ store, clock }, ONLY_NEEDED);
        const images = verdicts.map(({ image, keep }) => ({ ...image, keepWhole: keep }));
        await registry.compact(images, make, signal);
      } catch (error) {
        if (!signal.aborted) onError("keeping old images as deltas", error);
      }
    }
    running = undefined;
  }

  const begin = () => {
    isDue = true;
    running ??= work();
  };
  const stopListening = store.onCommitted(changes => {
    if (changes.some(({ kind }) => kind === "insert-image")) begin();
  });
  const timer = setInterval(begin, EVERY_MS);
  return {
    async stop() {
      stopListening();
      clearInterval(timer);
      stopping.abort();
      await running;
    },
  };
}
