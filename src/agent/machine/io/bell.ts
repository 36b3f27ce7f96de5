/** Sleeps until the time is over or somebody rings. */
import { setTimeout as delay } from "node:timers/promises";

export class Bell {
  #hasRung = false;
  #sleeper = new AbortController();

  /** Wakes who sleeps; when nobody does, the next sleep ends at once. */
  ring(): void {
    this.#hasRung = true;
    this.#sleeper.abort();
  }

  /** @param signal ends it as well */
  async sleep(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#hasRung) {
      this.#sleeper = new AbortController();
      const signals = signal === undefined ? [this.#sleeper.signal] : [this.#sleeper.signal, signal];
      await delay(durationMs, undefined, { signal: AbortSignal.any(signals) }).catch(() => undefined);
    }
    this.#hasRung = false;
  }
}
