/** An event stream that outlives its connections: it comes back with the id of the last event that was seen. */
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Event, eventSchema } from "../../api/wire.ts";
import { DrpError } from "../../core/errors.ts";
import { SseParser } from "../format/sse-parser.ts";
import { readLeniently } from "../lenient-schema.ts";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

type Open = (lastEventId: string | undefined) => Promise<IncomingMessage>;

/** @throws {DrpError} when the hub refuses the stream (a bad token); broken connections are retried for ever */
export async function* watchEventStream(
  open: Open,
  signal: AbortSignal,
  onState: (connected: boolean) => void,
): AsyncGenerator<Event> {
  let lastEventId: string | undefined;
  let retryMs = FIRST_RETRY_MS;
  while (!signal.aborted) {
    try {
      const answer = await open(lastEventId);
      const stop = () => answer.destroy();
      signal.addEventListener("abort", stop, { once: true });
      onState(true);
      retryMs = FIRST_RETRY_MS;
      try {
        for await (const message of messagesOf(answer)) {
          lastEventId = message.id ?? lastEventId;
          yield readLeniently(eventSchema, JSON.parse(message.data), "GET /events");
        }
      } finally {
        signal.removeEventListener("abort", stop);
        answer.destroy();
      }
    } catch (error) {
      if (error instanceof DrpError && error.code !== "hub.unreachable") throw error;
    }
    if (signal.aborted) return;
    onState(false);
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
    retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
  }
}

async function* messagesOf(answer: IncomingMessage) {
  const parser = new SseParser();
  answer.setEncoding("utf8");
  for await (const text of answer as AsyncIterable<string>) yield* parser.push(text);
}
