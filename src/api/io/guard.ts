/** Decides from a request's headers who calls, and whether they may. */
import type { Request } from "express";
import { DrpError } from "../../core/errors.ts";
import type { Authenticator } from "../authenticator.ts";
import { roleAllows } from "../roles.ts";
import type { Caller, Route } from "../route.ts";
import { readSessionCookie } from "./session-cookie.ts";

/** The caller of an open route: nobody asks who they are. */
const ANYONE: Caller = { tokenId: "", name: "anyone", role: "viewer" };

/** @throws {DrpError} auth.missing, auth.rejected, auth.limited, auth.forbidden */
export async function requireCaller(
  request: Request,
  route: Route,
  authenticator: Authenticator,
): Promise<Caller> {
  if (route.role === "open") return ANYONE;
  const bearer = readBearer(request.headers.authorization);
  const cookie = bearer === undefined ? readSessionCookie(request.headers.cookie) : undefined;
  const secret = bearer ?? cookie;
  if (secret === undefined) {
    throw new DrpError("auth.missing", `${request.method} ${request.path} needs a token`, {
      advice: "Send it as `Authorization: Bearer TOKEN`; the first admin token is in the hub's data folder.",
    });
  }
  const caller = await authenticator.identify(secret, request.socket.remoteAddress ?? "");
  if (!roleAllows(caller.role, route.role)) {
    throw new DrpError(
      "auth.forbidden",
      `${request.method} ${request.path} needs the role ${route.role}; ${caller.name} is ${caller.role}`,
      {
        advice: `Use a token with the role ${route.role}, or ask someone who has one.`,
      },
    );
  }
  // A page of another origin cannot set this header without asking first, and we never allow it.
  if (cookie !== undefined && request.method !== "GET" && request.get("x-requested-with") !== "drp") {
    throw new DrpError(
      "auth.forbidden",
      "a change by the session cookie needs the header X-Requested-With: drp",
    );
  }
  return caller;
}

function readBearer(header: string | undefined): string | undefined {
  return /^Bearer +([\x21-\x7e]{1,256})$/i.exec(header ?? "")?.[1];
}
