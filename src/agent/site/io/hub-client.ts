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
  type TransferAnswer,
  type TransferRequest,
  transferAnswerSchema,
} from "../../site-protocol.ts";

/** Of silence: a manifest of 8 MiB may take long over a thin line, and the hub may think about a plan. */
const SILENCE_MS = 30_000;
/** A connection on which nothing comes for so long is dead; a new one goes on where it was. */
const IDLE_MS = 15_000;
/** One poll, one sender and plans; some chunks at once, and a delta. More would not come sooner. */
const MAX_SOCKETS = 8;
/** A view of 2048 machines is 2 MiB, a manifest of 64 GiB of image 8 MiB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

const MAX_PROBLEM_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

export interface RangeRequest {
  /** "/chunks/HEX" */
  readonly path: string;
  readonly fromBytes: number;
  readonly maxBytes: number;
  readonly onPiece: (piece: Buffer) => boolean;
  readonly signal: AbortSignal;
}

export interface HubClientOptions {
  /** "https://HUB:8444" */
  readonly url: string;
  readonly caPem: string;
  readonly tls: { readonly key: string; readonly cert: string };
  /** An answer of which nothing comes for so long is given up. */
  readonly silenceMs?: number;
}

export class HubClient {
  readonly #url: string;
  readonly #silenceMs: number;
  readonly #agent: Agent;
  /** Images have connections of their own: reports and the view never wait behind them. */
  readonly #bulkAgent: Agent;
  readonly #stopping = new AbortController();

  constructor({ url, caPem, tls, silenceMs = SILENCE_MS }: HubClientOptions) {
    this.#url = `${url}/site/v1`;
    this.#silenceMs = silenceMs;
    const options = { ca: caPem, ...tls, keepAlive: true, maxSockets: MAX_SOCKETS };
    this.#agent = new Agent(options);
    this.#bulkAgent = new Agent(options);
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

  /** How an image should come; undefined when the hub does not hold it. @throws {DrpError} as `sync` */
  async planTransfer(digest: string, request: TransferRequest): Promise<TransferAnswer | undefined> {
    const path = `/images/${digest}/transfer`;
    const body = await this.#askIfThere(path, request);
    return body === undefined ? undefined : this.#parse(path, body, transferAnswerSchema);
  }

  /**
   * Reads some of a chunk's frame ("/chunks/HEX") or a delta file. What has come is given at once, also when the line breaks
   * before the rest does.
   *
   * @param onPiece false: no more is wanted
   * @returns the whole file's size
   * @throws {DrpError} as `sync`; not-found
   */
  async readRange({ path, fromBytes, maxBytes, onPiece, signal }: RangeRequest): Promise<number> {
    const range = `bytes=${fromBytes}-${fromBytes + maxBytes - 1}`;
    const stopping = AbortSignal.any([this.#stopping.signal, signal]);
    const options = { agent: this.#bulkAgent, headers: { range }, signal: stopping };
    const answer = await new Promise<{ status: number; totalBytes: number; problem: Buffer }>(
      (resolve, reject) => {
        const request = httpsRequest(`${this.#url}${path}`, options, response => {
          const status = response.statusCode ?? 0;
          const [, total = "0"] =
            /^bytes \d+-\d+\/(\d+)$/.exec(response.headers["content-range"] ?? "") ?? [];
          const problem: Buffer[] = [];
          let length = 0;
          response.on("data", (piece: Buffer) => {
            length += piece.length;
            if (length > Math.max(maxBytes, MAX_PROBLEM_BYTES)) {
              request.destroy(new Error(`more than ${maxBytes} bytes came`));
            } else if (status !== 206) problem.push(piece);
            else if (!onPiece(piece)) {
              resolve({ status, totalBytes: Number(total), problem: NOTHING });
              request.destroy();
            }
          });
          response.on("end", () =>
            resolve({ status, totalBytes: Number(total), problem: Buffer.concat(problem) }),
          );
          response.on("error", reject);
        });
        // Of silence: a thin line may take long, as long as something comes.
        request.setTimeout(IDLE_MS, () => request.destroy(new Error(`nothing came for ${IDLE_MS / 1000} s`)));
        request.on("error", reject);
        request.end();
      },
    ).catch(cause => {
      throw this.#unreachable(cause);
    });
    if (answer.status === 206) return answer.totalBytes;
    throw this.#refusal(path, answer.status, answer.problem);
  }

  /** Ends what is under way. */
  close(): void {
    this.#stopping.abort();
    this.#agent.destroy();
    this.#bulkAgent.destroy();
  }

  async #askIfThere(path: string, json?: unknown): Promise<Buffer | undefined> {
    try {
      return await this.#ask(path, json);
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
    const { status, body } = await this.#send(path, json, this.#silenceMs + holdMs).catch(cause => {
      throw this.#unreachable(cause);
    });
    if (status === 200) return body;
    throw this.#refusal(path, status, body);
  }

  #unreachable(cause: unknown): DrpError {
    return new DrpError("hub.unreachable", `${this.#url} does not answer`, {
      advice: "Check the WAN line and that `drp serve` runs; the site goes on by itself and tries again.",
      cause,
    });
  }

  #refusal(path: string, status: number, body: Buffer): DrpError {
    const problem = problemSchema.safeParse(parseJson(body));
    if (!problem.success) return new DrpError("internal", `${this.#url}${path} answers with HTTP ${status}`);
    const { code, detail, advice } = problem.data;
    // A newer hub may know more codes than this site; it travels on as it came.
    return new DrpError(code as ErrorCode, detail, advice === undefined ? {} : { advice });
  }

  #send(path: string, json: unknown, silenceMs: number): Promise<{ status: number; body: Buffer }> {
    const content = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
    const options = {
      agent: this.#agent,
      method: content === undefined ? "GET" : "POST",
      headers:
        content === undefined ? {} : { "content-type": "application/json", "content-length": content.length },
      signal: this.#stopping.signal,
      // Counts from before the connection stands.
      timeout: silenceMs,
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
      request.on("timeout", () => request.destroy(new Error(`nothing came for ${silenceMs / 1000} s`)));
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
