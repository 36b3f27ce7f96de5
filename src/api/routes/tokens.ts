import { DrpError } from "../../core/errors.ts";
import { mintId } from "../../core/ids.ts";
import type { TokenRecord } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { defineRoute, EMPTY, json, type Route } from "../route.ts";
import { hashTokenSecret, mintTokenSecret } from "../token-secret.ts";
import { createdTokenSchema, createTokenSchema, pageOf, type Token, tokenSchema } from "../wire.ts";

const DAY_MS = 86_400_000;

export function tokenRoutes({ store, clock, randomBytes }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/tokens",
      role: "admin",
      summary: "Lists API tokens, without their secrets",
      status: 200,
      answer: pageOf(tokenSchema),
      handle: async () => json({ items: (await store.listTokens()).map(tokenToWire), next: null }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/tokens",
      role: "admin",
      summary: "Makes an API token; its secret is in this answer only",
      body: createTokenSchema,
      status: 201,
      answer: createdTokenSchema,
      handle: async ({ body, caller }) => {
        const now = clock();
        const secret = mintTokenSecret(randomBytes);
        const token: TokenRecord = {
          id: mintId("t", randomBytes),
          name: body.name,
          role: body.role,
          secretHash: hashTokenSecret(secret),
          createdAt: now,
          expiresAt: body.expiresInDays === null ? null : now + body.expiresInDays * DAY_MS,
        };
        const outcome = await store.commit([
          { kind: "insert-token", token },
          audit({
            kind: "token.created",
            at: now,
            caller,
            did: `made token ${token.name} with role ${token.role}`,
            facts: { token: token.id, role: token.role },
          }),
        ]);
        if (outcome.kind === "conflict") {
          throw new DrpError("name.taken", `another token is called ${token.name}`, {
            advice: "Choose another name, or destroy that token first.",
          });
        }
        return json({ token: tokenToWire(token), secret });
      },
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/tokens/{token}",
      role: "admin",
      summary: "Ends a token at once, by id or name",
      status: 204,
      handle: async ({ param, caller }) => {
        const token = (await store.listTokens()).find(({ id, name }) => [id, name].includes(param("token")));
        if (token === undefined)
          throw new DrpError("not-found", `no token has the id or name ${param("token")}`);
        await store.commit([
          { kind: "delete-token", id: token.id },
          audit({
            kind: "token.deleted",
            at: clock(),
            caller,
            did: `ended token ${token.name}`,
            facts: { token: token.id },
          }),
        ]);
        return EMPTY;
      },
    }),
  ];
}

function tokenToWire({ id, name, role, createdAt, expiresAt }: TokenRecord): Token {
  return { id, name, role, createdAt, expiresAt };
}
