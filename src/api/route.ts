/**
 * What a route of the API is: the one description from which it is served, guarded, validated and documented. Handlers
 * know no Express: a call comes in as data and an answer goes out as data.
 */
import type { Readable } from "node:stream";
import type { z } from "zod";
import type { EventFilter, Role } from "../store/ports.ts";

/** Who calls, proved by a bearer token or the dashboard's session cookie. */
export interface Caller {
  readonly tokenId: string;
  /** The token's name, for the record of who did what. */
  readonly name: string;
  readonly role: Role;
}

export interface Call<Query, Body> {
  /** From the path, decoded. */
  param(name: string): string;
  readonly query: Query;
  readonly body: Body;
  readonly caller: Caller;
  /** If-Match: the revision that the client has seen. */
  readonly expectedRevision: number | undefined;
  /** The request's body as it comes in, on routes that say `body: "stream"`. */
  readonly upload: Readable;
  /** Accept: text/event-stream */
  readonly wantsEventStream: boolean;
  readonly lastEventId: number | undefined;
  /** Aborted when the client has gone, or has its answer. */
  readonly gone: AbortSignal;
  /** For limits on sign-ins. */
  readonly remoteAddress: string;
}

export type Answer =
  | {
      readonly kind: "json";
      readonly value: unknown;
      /** Becomes the ETag. */
      readonly revision?: number;
      /** The session's token; null ends the session. */
      readonly session?: string | null;
    }
  | { readonly kind: "text"; readonly text: string; readonly type: string }
  | { readonly kind: "empty"; readonly session?: null }
  | { readonly kind: "event-stream"; readonly filter: Omit<EventFilter, "limit" | "from"> };

export const EMPTY: Answer = { kind: "empty" };

export function json(value: unknown): Answer {
  return { kind: "json", value };
}

/** A thing with a revision: what If-Match of a later change is compared to. */
export function revised(value: { readonly revision: number }): Answer {
  return { kind: "json", value, revision: value.revision };
}

export interface Route {
  readonly method: "get" | "post" | "patch" | "delete";
  /** From the root, in OpenAPI's form: "/api/v1/machines/{machine}". */
  readonly path: string;
  /** The least role that may call it; "open" asks for no token. */
  readonly role: Role | "open";
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType | "stream";
  readonly status: 200 | 201 | 204;
  /** Undefined where the answer is empty or not JSON. */
  readonly answer?: z.ZodType;
  handle(call: Call<unknown, unknown>): Promise<Answer>;
}

type Read<T> = T extends z.ZodType ? z.output<T> : undefined;

/** A route whose handler sees the types of its own schemas. */
export function defineRoute<
  Query extends z.ZodObject | undefined = undefined,
  Body extends z.ZodType | "stream" | undefined = undefined,
>(
  route: Omit<Route, "handle" | "query" | "body"> & {
    readonly query?: Query;
    readonly body?: Body;
    handle(call: Call<Read<Query>, Read<Body>>): Promise<Answer>;
  },
): Route {
  // The server validates query and body by these very schemas before it calls.
  return route as unknown as Route;
}
