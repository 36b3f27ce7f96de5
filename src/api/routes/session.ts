import { z } from "zod";
import type { Authenticator } from "../authenticator.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { roleSchema } from "../wire.ts";

const signInSchema = z.strictObject({ token: z.string().min(1).max(256) });
const sessionSchema = z.object({ name: z.string(), role: roleSchema });

/** The dashboard's sign-in: a token becomes a cookie that scripts cannot read. */
export function sessionRoutes(authenticator: Authenticator): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/session",
      role: "viewer",
      summary: "Says who is signed in",
      status: 200,
      answer: sessionSchema,
      handle: async ({ caller }) => json({ name: caller.name, role: caller.role }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/session",
      role: "open",
      summary: "Signs in with a token and sets the session cookie",
      body: signInSchema,
      status: 200,
      answer: sessionSchema,
      handle: async ({ body, remoteAddress }) => {
        const { name, role } = await authenticator.identify(body.token, remoteAddress);
        return { kind: "json", value: { name, role }, session: body.token };
      },
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/session",
      role: "open",
      summary: "Signs out",
      status: 204,
      handle: async () => ({ kind: "empty", session: null }),
    }),
  ];
}
