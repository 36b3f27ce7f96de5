/** Wakes the one who waits; rings that nobody waited for are kept. */
import type { Event } from "../api/wire.ts";
import type { Query } from "./api-client.ts";
import type { CliContext } from "./cli.ts";

export class Bell {
  private ring = new AbortController();

  strike(): void {
    this.ring.abort();
  }

  async wait(context: CliContext, durationMs: number): Promise<void> {
    await context.sleep(durationMs, this.ring.signal);
    this.ring = new AbortController();
  }

  /** Rings at every event that `concerns` accepts. Without a stream whoever waits finds out a moment later. */
  async followEvents(
    context: CliContext,
    query: Query,
    signal: AbortSignal,
    concerns: (event: Event) => boolean,
  ): Promise<void> {
    try {
      for await (const event of context.api().watchEvents(query, signal)) {
        if (concerns(event)) this.strike();
      }
    } catch {
      return;
    }
  }
}
