import { z } from "zod";
import { DrpError } from "../../core/errors.ts";
import { parseMac } from "../../core/mac.ts";
import type { EventFilter } from "../../store/ports.ts";
import type { ApiDeps } from "../deps.ts";
import { requireMachine, requireSite } from "../references.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { eventSchema, pageOf } from "../wire.ts";

const query = z.strictObject({
  after: z.coerce.number().int().nonnegative().optional().describe("the id of the last event that is known"),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  machine: z.string().max(63).optional().describe("id, name or MAC address"),
  mac: z.string().max(17).optional(),
  site: z.string().max(63).optional().describe("id or name"),
  kind: z
    .string()
    .regex(/^[a-z][a-z.-]{0,63}$/)
    .optional()
    .describe("those whose kind begins so: image."),
  from: z.enum(["oldest", "newest"]).optional().describe("oldest with `after`, else newest"),
});

export function eventRoutes({ store }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/events",
      role: "viewer",
      summary:
        "Lists events in rising order; with Accept: text/event-stream sends new ones as they happen, from Last-Event-ID or `after` on",
      query,
      status: 200,
      answer: pageOf(eventSchema),
      handle: async call => {
        const { after, limit, from = after === undefined ? "newest" : "oldest", ...who } = call.query;
        const afterId = call.lastEventId ?? after;
        const filter: Omit<EventFilter, "limit" | "from"> = {
          ...(afterId === undefined ? {} : { afterId }),
          ...(who.machine === undefined ? {} : { machineId: (await requireMachine(store, who.machine)).id }),
          ...(who.site === undefined ? {} : { siteId: (await requireSite(store, who.site)).id }),
          ...(who.kind === undefined ? {} : { kindPrefix: who.kind }),
          ...(who.mac === undefined ? {} : { mac: requireMac(who.mac) }),
        };
        if (call.wantsEventStream) return { kind: "event-stream", filter };
        const items = await store.listEvents({ ...filter, limit, from });
        const last = items.length === limit && from === "oldest" ? items.at(-1) : undefined;
        return json({ items, next: last === undefined ? null : String(last.id) });
      },
    }),
  ];
}

function requireMac(text: string) {
  const mac = parseMac(text);
  if (mac === undefined) throw new DrpError("request.invalid", `query.mac: ${text} is not a MAC address`);
  return mac;
}
