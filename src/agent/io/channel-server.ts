/** What the machine channel and the site channel have in common: bare node:https, JSON bodies, problem documents. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server } from "node:https";
import { DrpError, type ErrorCode } from "../../core/errors.ts";
import type { Problem } from "../protocol.ts";

/** @throws {DrpError} request.too-large, before more than the limit is kept */
export async function readBodyText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    sizeBytes += part.length;
    if (sizeBytes > maxBytes) {
      throw new DrpError("request.too-large", `the body is larger than ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

export function sendJson(response: ServerResponse, body: unknown): void {
  send(response, 200, "application/json", body);
}

/**
 * Answers with what may be told of the error (RFC 9457).
 *
 * @param statusOf of the codes that this channel refuses with; any other is 500
 * @param unexpected what is said of an error that is none of ours: its own words stay here
 */
export function sendProblem(
  response: ServerResponse,
  error: unknown,
  { statusOf, unexpected }: { statusOf: Partial<Record<ErrorCode, number>>; unexpected: string },
): void {
  const known = error instanceof DrpError ? error : new DrpError("internal", unexpected);
  const status = statusOf[known.code] ?? 500;
  const problem: Problem = {
    type: "about:blank",
    title: known.code,
    status,
    code: known.code,
    detail: known.message,
    ...(known.advice === undefined ? {} : { advice: known.advice }),
  };
  send(response, status, "application/problem+json", problem);
}

function send(response: ServerResponse, status: number, type: string, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

/**
 * @param setting the key of the configuration that names the port
 * @throws {DrpError} port.in-use, port.forbidden
 */
export async function listenOnPort(
  server: Server,
  port: number,
  { what, setting }: { what: string; setting: string },
): Promise<void> {
  server.listen(port);
  try {
    await once(server, "listening");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new DrpError(
      code === "EACCES" ? "port.forbidden" : "port.in-use",
      `${what} cannot listen on port ${port}`,
      {
        advice: `Stop what has it (ss -tlpn sport = :${port}), or set ${setting} in the configuration.`,
        cause,
      },
    );
  }
}

/** Waits for nobody: machines and sites ask again. */
export async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
