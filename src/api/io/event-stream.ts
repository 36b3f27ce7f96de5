/**
 * Server-sent events of one client. The store is the buffer: a client is read for only as fast as it takes, so a slow one
 * costs no memory, and one that stops taking is cut off and resumes by Last-Event-ID.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { EventFilter, EventRecord, Store } from "../../store/ports.ts";

/** Proxies and browsers give up on lines that are silent for a minute or less. */
const KEEP_ALIVE_MS = 15_000;
/** A client that takes nothing for this long is cut off. */
const STALLED_MS = 30_000;
/** Events that are read at once: about 200 KB. */
const PAGE_EVENTS = 500;

/** Sends what is after `filter.afterId`, or after now, until the client goes or the hub stops. Never throws. */
export async function sendEventStream(
  response: ServerResponse,
  store: Pick<Store, "listEvents" | "onEvents">,
  filter: Omit<EventFilter, "limit" | "from">,
  stopping: AbortSignal,
): Promise<void> {
  const closed = new AbortController();
  response.once("close", () => closed.abort());
  const gone = AbortSignal.any([closed.signal, stopping]);
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  let wake = Promise.withResolvers<void>();
  const stopListening = store.onEvents(() => wake.resolve());
  const keepAlive = setInterval(() => response.write(": still here\n\n"), KEEP_ALIVE_MS);
  try {
    let cursor = filter.afterId ?? (await newestId(store));
    await send(response, "retry: 2000\n\n", gone);
    while (!gone.aborted) {
      const events = await store.listEvents({
        ...filter,
        afterId: cursor,
        limit: PAGE_EVENTS,
        from: "oldest",
      });
      cursor = events.at(-1)?.id ?? cursor;
      if (events.length > 0) {
        await send(response, events.map(formatEvent).join(""), gone);
        continue;
      }
      await Promise.race([wake.promise, once(gone, "abort")]);
      wake = Promise.withResolvers();
    }
  } catch {
    // The client went, stalled, or the store is closing: it comes back with its Last-Event-ID.
  } finally {
    clearInterval(keepAlive);
    stopListening();
    if (stopping.aborted) response.end();
    else response.destroy();
  }
}

async function newestId(store: Pick<Store, "listEvents">): Promise<number> {
  const [newest] = await store.listEvents({ limit: 1, from: "newest" });
  return newest?.id ?? 0;
}

/** Resolves when the client has room for more. @throws when it goes or takes nothing for too long */
async function send(response: ServerResponse, text: string, gone: AbortSignal): Promise<void> {
  if (response.write(text)) return;
  await once(response, "drain", { signal: AbortSignal.any([gone, AbortSignal.timeout(STALLED_MS)]) });
}

/** JSON.stringify leaves no line break in it, which is all that the format asks. */
function formatEvent(event: EventRecord): string {
  return `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
}
