/** One HTTP exchange with the site, with Node's errors translated at this edge: unreachable, refused, or an answer. */
import { type Agent as HttpAgent, request as httpRequest } from "node:http";
import { type Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { DrpError, type ErrorCode } from "../../../core/errors.ts";
import { problemSchema } from "../../protocol.ts";

export interface HttpExchange {
  readonly url: string;
  readonly agent: HttpAgent | HttpsAgent;
  /** A JSON body makes it a POST. */
  readonly json?: unknown;
  /** A longer answer is refused. */
  readonly maxAnswerBytes: number;
}

/** A site on a shop's thin line answers within this time, or the connection is dead. */
const TIMEOUT_MS = 20_000;

/** @throws {DrpError} site.unreachable (worth a retry), or the site's own code when it refuses */
export async function exchange(ask: HttpExchange): Promise<Buffer> {
  const answer = await send(ask).catch(cause => {
    throw unreachable(`${ask.url} does not answer`, cause);
  });
  return judgeAnswer(ask.url, answer);
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** @throws {DrpError} site.unreachable (worth a retry), or the site's own code when it refuses */
export function judgeAnswer(url: string, answer: Answer): Buffer {
  if (answer.status === 200) return answer.body;
  if (answer.status >= 500 || answer.status === 429) {
    throw unreachable(`${url} is not ready`, refusal(url, answer));
  }
  throw refusal(url, answer);
}

function send({ url, agent, json, maxAnswerBytes }: HttpExchange): Promise<Answer> {
  const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
  const options = {
    agent,
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "content-type": "application/json", "content-length": body.length },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const begin = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = begin(url, options, response => {
      const parts: Buffer[] = [];
      let length = 0;
      response.on("data", (part: Buffer) => {
        length += part.length;
        parts.push(part);
        if (length > maxAnswerBytes) request.destroy(new Error(`more than ${maxAnswerBytes} bytes came`));
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts) }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

export function unreachable(message: string, cause?: unknown): DrpError {
  return new DrpError("site.unreachable", message, {
    advice: "Check the network between this machine and its site agent.",
    cause,
  });
}

function refusal(url: string, { status, body }: Answer): DrpError {
  const problem = problemSchema.safeParse(parseJson(body));
  if (!problem.success) return new DrpError("internal", `${url} answers with HTTP ${status}`);
  const { code, detail, advice } = problem.data;
  // A newer site may know more codes than this agent; it travels on as it came.
  return new DrpError(code as ErrorCode, detail, advice === undefined ? {} : { advice });
}

/** Null for what is no JSON. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return null;
  }
}
