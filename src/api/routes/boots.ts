import { z } from "zod";
import type { ApiDeps } from "../deps.ts";
import { readBootExplanation } from "../read-boot-explanation.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { bootExplanationSchema } from "../wire.ts";

export function bootRoutes(deps: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/boots/{mac}",
      role: "viewer",
      summary:
        "Explains the newest boots of a machine, by MAC address, name or id: what it asked, what it got and why, how far it came; and why nothing was heard",
      query: z.strictObject({ limit: z.coerce.number().int().min(1).max(50).default(3) }),
      status: 200,
      answer: bootExplanationSchema,
      handle: async ({ param, query }) => json(await readBootExplanation(deps, param("mac"), query.limit)),
    }),
  ];
}
