/** The hub's API over node:https: one token, one CA, every answer checked, nothing held in memory that can be streamed. */
import type { IncomingMessage } from "node:http";
import { Agent, type RequestOptions, request } from "node:https";
import type { z } from "zod";
import { type Event, pageOf, problemSchema } from "../../api/wire.ts";
import { DrpError, type ErrorCode } from "../../core/errors.ts";
import type { ApiClient, GetOptions, Query } from "../api-client.ts";
import { readLeniently } from "../lenient-schema.ts";
import { toConnectionError } from "./connection-error.ts";
import type { Connection } from "./find-connection.ts";
import { watchEventStream } from "./watch-event-stream.ts";

/** An answer of the API is a page of JSON: more than this is something else. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** The hub's own limit: fewer questions for a large fleet. */
const PAGE_ITEMS = 1000;
/** A hub that says nothing for so long is stuck or gone. Event streams have no such limit. */
const ANSWER_TIMEOUT_MS = 30_000;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly query?: Query | undefined;
  readonly headers?: Record<string, string>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as they are. */
  readonly bytes?: Buffer;
}

export class HttpsApiClient implements ApiClient {
  private readonly connection: Connection;
  private readonly agent: Agent;

  constructor(connection: Connection) {
    this.connection = connection;
    this.agent = new Agent({
      keepAlive: true,
      ...(connection.ca === undefined ? {} : { ca: connection.ca }),
    });
  }

  get endpoint(): URL {
    return this.connection.endpoint;
  }

  async get<T>(path: string, schema: z.ZodType<T>, query?: Query, options?: GetOptions): Promise<T> {
    const answer = await this.call({ method: "GET", path, query }, options?.timeoutMs);
    return readLeniently(schema, answer, `GET ${path}`);
  }

  async list<T>(path: string, item: z.ZodType<T>, query: Query = {}, limit = Infinity): Promise<T[]> {
    const items: T[] = [];
    let after: string | undefined;
    do {
      const page = await this.get(path, pageOf(item), {
        limit: PAGE_ITEMS,
        ...query,
        ...(after === undefined ? {} : { after }),
      });
      items.push(...page.items);
      after = page.next ?? undefined;
    } while (after !== undefined && items.length < limit);
    return items.slice(0, limit);
  }

  async post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    return readLeniently(schema, await this.call({ method: "POST", path, body }), `POST ${path}`);
  }

  async patch<T>(path: string, body: unknown, revision: number, schema: z.ZodType<T>): Promise<T> {
    const call = { method: "PATCH", path, body, headers: { "if-match": `"${revision}"` } };
    return readLeniently(schema, await this.call(call), `PATCH ${path}`);
  }

  async delete(path: string, revision?: number): Promise<void> {
    await this.call({
      method: "DELETE",
      path,
      headers: revision === undefined ? {} : { "if-match": `"${revision}"` },
    });
  }

  async send<T>(path: string, bytes: Buffer, contentType: string, schema: z.ZodType<T>): Promise<T> {
    const call = { method: "POST", path, bytes, headers: { "content-type": contentType } };
    return readLeniently(schema, await this.call(call), `POST ${path}`);
  }

  watchEvents(
    query: Query,
    signal: AbortSignal,
    onState?: (connected: boolean) => void,
  ): AsyncIterable<Event> {
    return watchEventStream(
      lastEventId =>
        this.open({
          method: "GET",
          path: "/events",
          query,
          headers: {
            accept: "text/event-stream",
            ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
          },
        }),
      signal,
      onState ?? (() => undefined),
    );
  }

  /** Ends idle connections, so that the process can end. */
  close(): void {
    this.agent.destroy();
  }

  private async call(call: Call, timeoutMs = ANSWER_TIMEOUT_MS): Promise<unknown> {
    try {
      const outgoing = request({ ...this.requestOptions(call), timeout: timeoutMs });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
      const answered = answerOf(outgoing);
      outgoing.end(call.bytes ?? (call.body === undefined ? undefined : JSON.stringify(call.body)));
      return await readAnswer(await answered);
    } catch (error) {
      throw toConnectionError(error, this.connection.endpoint);
    }
  }

  private async open(call: Call): Promise<IncomingMessage> {
    try {
      const outgoing = request(this.requestOptions(call));
      const answered = answerOf(outgoing);
      outgoing.end();
      const answer = await answered;
      if ((answer.statusCode ?? 0) >= 400) await readAnswer(answer);
      return answer;
    } catch (error) {
      throw toConnectionError(error, this.connection.endpoint);
    }
  }

  private requestOptions(call: Call): RequestOptions {
    const { endpoint, token } = this.connection;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const search = query.size === 0 ? "" : `?${query}`;
    return {
      host: endpoint.hostname.replaceAll(/[[\]]/g, ""),
      port: endpoint.port || 443,
      agent: this.agent,
      method: call.method,
      path: `${endpoint.pathname.replace(/\/$/, "")}/api/v1${call.path}${search}`,
      headers: {
        accept: "application/json",
        authorization: `Bearer ${token}`,
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        ...call.headers,
      },
    };
  }
}

function answerOf(outgoing: ReturnType<typeof request>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on("response", resolve);
    outgoing.on("error", reject);
  });
}

async function readAnswer(answer: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    sizeBytes += part.length;
    if (sizeBytes > MAX_ANSWER_BYTES) throw notAHub(answer, "it answers without end");
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString("utf8");
  const status = answer.statusCode ?? 0;
  if (status >= 200 && status < 300 && text === "") return null;
  const body = parseJson(text);
  if (status >= 200 && status < 300 && body !== undefined) return body;
  throw (
    toProblemError(body) ?? notAHub(answer, `it answered with status ${status} and no JSON that drp knows`)
  );
}

function toProblemError(body: unknown): DrpError | undefined {
  const problem = problemSchema.safeParse(body);
  if (!problem.success) return undefined;
  const { code, detail, advice } = problem.data;
  // A newer hub may know codes that we do not; they only ever choose an exit code here.
  return new DrpError(code as ErrorCode, detail, advice === undefined ? {} : { advice });
}

function notAHub(answer: IncomingMessage, why: string): DrpError {
  const server = answer.headers.server;
  return new DrpError(
    "hub.unreachable",
    `what answers is not a drp hub${server ? ` but ${server}` : ""}: ${why}`,
    {
      advice: "Check DRP_ENDPOINT: host, port, and any proxy between.",
    },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
