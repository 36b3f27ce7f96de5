/** How images came to a site over its line, and what held them up. */
import { type Event, eventSchema } from "../api/wire.ts";
import type { CliContext } from "./cli.ts";

/** @param limit the newest so many; oldest first */
export async function readImageEvents(context: CliContext, siteId: string, limit: number): Promise<Event[]> {
  const query = { site: siteId, kind: "image.", from: "newest", limit };
  return await context.api().list("/events", eventSchema, query, limit);
}
