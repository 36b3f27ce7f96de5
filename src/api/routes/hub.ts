import type { ApiDeps } from "../deps.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { statusSchema } from "../wire.ts";

/** What the hub itself does: its services, whether it lives. */
export function hubRoutes({ store, status }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/status",
      role: "viewer",
      summary: "Says what runs, and what is off and why",
      status: 200,
      answer: statusSchema,
      handle: async () => json(status()),
    }),
    defineRoute({
      method: "get",
      path: "/healthz",
      role: "open",
      summary: "Answers while the process lives",
      status: 200,
      handle: async () => ({ kind: "text", text: "ok\n", type: "text/plain" }),
    }),
    defineRoute({
      method: "get",
      path: "/readyz",
      role: "open",
      summary: "Answers while the store can be read",
      status: 200,
      handle: async () => {
        await store.listSites({ limit: 1 });
        return { kind: "text", text: "ready\n", type: "text/plain" };
      },
    }),
  ];
}
