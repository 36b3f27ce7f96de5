/** A site's requests to its hub, with Node's errors translated at this edge: unreachable, refused, or an answer. */
import { Agent, request as httpsRequest } from "node:https";
import type { z } from "zod";
import { DrpError, type ErrorCode } from "../../../core/errors.ts";
import { problemSchema, type SignedManifest, signedManifestSchema } from "../../protocol.ts";
import {
  POLL_MS,
  SITE_PROTOCOL_VERSION,
  type SyncAnswer,
  type SyncRequest,
  syncAnswerSchema,
} from "../../site-protocol.ts";

/** A thin WAN line carries a chunk of 1 MiB in this time, or it is called down. */
const TIMEOUT_MS = 30_000;
/** One poll, one sender, and chunks: more of them at once would not come sooner. */
const MAX_SOCKETS = 8;
/** A view of 2048 machines is 2 MiB, a manifest of 64 GiB of image 8 MiB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface HubClientOptions {
  /** "https://HUB:8444" */
  readonly url: string;
  readonly caPem: string;
  readonly tls: { readonly key: string; readonly cert: string };
}

export class HubClient {
  readonly #url: string;
  readonly #agent: Agent;
  readonly #stopping = new AbortController();

  constructor({ url, caPem, tls }: HubClientOptions) {
    this.#url = `${url}/site/v1`;
    this.#agent = new Agent({ ca: caPem, ...tls, keepAlive: true, maxSockets: MAX_SOCKETS });
  }

  /** @throws {DrpError} hub.unreachable, or the hub's own code when it refuses */
  async sync(request: Omit<SyncRequest, "protocolVersion">): Promise<SyncAnswer> {
    const json = { protocolVersion: SITE_PROTOCOL_VERSION, ...request };
    const holdMs = request.reports.length === 0 ? POLL_MS : 0;
    return this.#parse("/sync", await this.#ask("/sync", json, holdMs), syncAnswerSchema);
  }

  /** Undefined when the hub does not hold it. @throws {DrpError} as `sync` */
  async manifest(digest: string): Promise<SignedManifest | undefined> {
    const path = `/images/${digest}`;
    const body = await this.#askIfThere(path);
    return body === undefined ? undefined : this.#parse(path, body, signedManifestSchema);
  }

  /** One zstd frame, not yet checked; undefined when the hub does not hold it. @throws {DrpError} as `sync` */
  chunk(digestHex: string): Promise<Buffer | undefined> {
    return this.#askIfThere(`/chunks/${digestHex}`);
  }

  /** Ends what is under way. */
  close(): void {
    this.#stopping.abort();
    this.#agent.destroy();
  }

  async #askIfThere(path: string): Promise<Buffer | undefined> {
    try {
      return await this.#ask(path);
    } catch (error) {
      if (error instanceof DrpError && error.code === "not-found") return undefined;
      throw error;
    }
  }

  #parse<T>(path: string, body: Buffer, schema: z.ZodType<T>): T {
    const parsed = schema.safeParse(parseJson(body));
    if (parsed.success) return parsed.data;
    throw new DrpError("internal", `${this.#url}${path} answers what this site cannot read`, {
      advice: "Update drp at the site: it is older than the hub.",
      cause: parsed.error,
    });
  }

  /** @param holdMs how long the hub may let the answer wait */
  async #ask(path: string, json?: unknown, holdMs = 0): Promise<Buffer> {
    const { status, body } = await this.#send(path, json, TIMEOUT_MS + holdMs).catch(cause => {
      throw new DrpError("hub.unreachable", `${this.#url} does not answer`, {
        advice: "Check the WAN line and that `drp serve` runs; the site goes on by itself and tries again.",
        cause,
      });
    });
    if (status === 200) return body;
    const problem = problemSchema.safeParse(parseJson(body));
    if (!problem.success) throw new DrpError("internal", `${this.#url}${path} answers with HTTP ${status}`);
    const { code, detail, advice } = problem.data;
    // A newer hub may know more codes than this site; it travels on as it came.
    throw new DrpError(code as ErrorCode, detail, advice === undefined ? {} : { advice });
  }

  #send(path: string, json: unknown, timeoutMs: number): Promise<{ status: number; body: Buffer }> {
    const content = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
    const options = {
      agent: this.#agent,
      method: content === undefined ? "GET" : "POST",
      headers:
        content === undefined ? {} : { "content-type": "application/json", "content-length": content.length },
      signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(timeoutMs)]),
    };
    return new Promise((resolve, reject) => {
      const request = httpsRequest(`${this.#url}${path}`, options, response => {
        const parts: Buffer[] = [];
        let length = 0;
        response.on("data", (part: Buffer) => {
          length += part.length;
          parts.push(part);
          if (length > MAX_ANSWER_BYTES)
            request.destroy(new Error(`more than ${MAX_ANSWER_BYTES} bytes came`));
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts) }));
        response.on("error", reject);
      });
      request.on("error", reject);
      request.end(content);
    });
  }
}

/** Undefined for what is no JSON. */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
