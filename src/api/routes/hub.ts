import type { ApiDeps } from "../deps.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { leaseSchema, pageOf, statusSchema } from "../wire.ts";

/** What the hub itself does: its services, its leases, whether it lives. */
export function hubRoutes({ store, leases, status }: ApiDeps): Route[] {
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
      path: "/api/v1/leases",
      role: "viewer",
      summary: "Lists the addresses that the local site has given",
      status: 200,
      answer: pageOf(leaseSchema),
      handle: async () => json({ items: await leases(), next: null }),
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
