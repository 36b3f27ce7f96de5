/**
 * What is asked for, and who answers it:
 *
 *   GET /boot.ipxe?mac=MAC            the machine's script
 *   GET /loaders/NAME                 firmware loaders, and autoexec.ipxe
 *   GET /ramdisk/vmlinuz, initrd.img
 *   GET /chunks/HEX                   one zstd frame; never changes
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import { type MacAddress, parseMac } from "../../core/mac.ts";
import type { Clock } from "../../core/time.ts";
import type { BootEvent } from "../../dhcp/boot-event.ts";
import { type BootPlan, describeScript } from "../boot-plan.ts";
import { describeFileSent } from "../http-events.ts";
import { parseRequestTarget } from "../http-request-target.ts";
import { renderAutoexecScript, renderIpxeScript } from "../scripts.ts";
import { localAddress, localHost, remoteAddress } from "./boot-http-addresses.ts";
import { sendFile } from "./boot-http-file.ts";
import type { PiecePool } from "./boot-http-piece-pool.ts";
import { sendText } from "./boot-http-text.ts";

/** Where the answers come from, and where it is told what was asked. */
export interface BootHttpSources {
  /** URL path → file: "/loaders/ipxe.efi", "/ramdisk/vmlinuz". Asked for each request. */
  readonly findFile: (urlPath: string) => string | undefined;
  /** @param digestHex 64 lower-case hexadecimal digits @returns a file that holds one zstd frame */
  /** May fail with `timed-out`: it is on its way, and the client is told to ask again. */
  readonly findChunk: (digestHex: string) => Promise<string | undefined>;
  /**
   * Rejects with a DrpError when there is no plan to be had; the machine is then told and tries again.
   *
   * @param localAddress ours, at which the machine reached us: the one that its URLs must carry
   */
  readonly scriptFor: (mac: MacAddress, remoteAddress: string, localAddress: string) => Promise<BootPlan>;
  /** Limited already. Null where the request did not say whose it is; the remote address may. */
  readonly onEvent: (mac: MacAddress | null, remoteAddress: string, event: BootEvent) => void;
  readonly clock: Clock;
}

export interface BootHttpContext extends BootHttpSources {
  readonly pool: PiecePool;
  readonly pieceMs: number;
}

/** Whatever goes wrong ends in an answer or a closed connection, never in an exit. Paths on our disk stay ours. */
export async function answerRequest(
  context: BootHttpContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A pipelined one whose client left during the answer before.
  if (response.destroyed) return;
  try {
    await route(context, request, response);
  } catch (error) {
    if (error instanceof DrpError && error.code === "timed-out" && !response.headersSent) {
      // Nothing is wrong: a thin line takes its time, and whoever installs asks again.
      response.setHeader("retry-after", "1");
      return sendText(response, 503, `${error.message}\n`);
    }
    const path = (request.url ?? "/").slice(0, 200);
    report(context, request, {
      kind: "http.failed",
      summary: `${path} cannot be served: ${describeErrorChain(error)}`,
      facts: { path },
    });
    if (response.headersSent) response.destroy();
    else sendText(response, 500, "This cannot be served now; the server's log says why.\n");
  }
}

async function route(
  context: BootHttpContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return refuse(context, request, response, 405, `${request.method} is not served here, GET and HEAD are`);
  }
  // Content of a GET means nothing (RFC 9110 §9.3.1); it is not read, so the connection cannot go on after it.
  if (request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"]) > 0) {
    return refuse(context, request, response, 413, "a request with a body is not served here");
  }
  const target = parseRequestTarget(request.url ?? "/");
  if (target.kind === "malformed") {
    return refuse(context, request, response, 400, `the request target ${target.reason}`);
  }
  switch (target.path) {
    case "/boot.ipxe":
      return await sendScript(context, target.query, request, response);
    case "/loaders/autoexec.ipxe":
      return sendText(response, 200, renderAutoexecScript(`http://${localHost(request)}`));
    default:
      return await sendNamedFile(context, target.path, request, response);
  }
}

async function sendScript(
  context: BootHttpContext,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const mac = parseMac(query.get("mac") ?? "");
  if (mac === undefined)
    return sendText(response, 400, "Say which machine you are: /boot.ipxe?mac=52:54:00:12:34:56\n");
  if (request.method === "HEAD") {
    // A script is made when it is fetched, and may use up an intent: its length cannot be told before.
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end();
    return;
  }
  const plan = await planOrRefusal(context, mac, request);
  context.onEvent(mac, remoteAddress(request), describeScript(plan, "ipxe"));
  sendText(response, 200, renderIpxeScript(plan));
}

/** A machine at a boot prompt can only show what the script prints. */
async function planOrRefusal(
  { scriptFor }: BootHttpContext,
  mac: MacAddress,
  request: IncomingMessage,
): Promise<BootPlan> {
  try {
    return await scriptFor(mac, remoteAddress(request), localAddress(request));
  } catch (error) {
    return { kind: "refused", reason: describeErrorChain(error) };
  }
}

async function sendNamedFile(
  context: BootHttpContext,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const digest = /^\/chunks\/([0-9a-f]{64})$/.exec(path)?.[1];
  const filePath = digest === undefined ? context.findFile(path) : await context.findChunk(digest);
  if (filePath === undefined) return sendMissing(context, path, request, response);
  const startedAt = performance.now();
  const toSend = { urlPath: path, filePath, immutable: digest !== undefined };
  const { pool, pieceMs } = context;
  try {
    const sent = await sendFile(request, response, { ...toSend, pool, pieceMs });
    const event = describeFileSent(path, sent, Math.round(performance.now() - startedAt));
    // An install fetches thousands of chunks and reports its own progress: only what went wrong is told.
    if (event !== undefined && (digest === undefined || event.kind === "http.failed")) {
      report(context, request, event);
    }
  } catch (error) {
    // A chunk's file bears its digest: where there is none, there is no such chunk. A boot file of ours that is gone is a fault.
    if (digest === undefined || !isNoSuchFile(error)) throw error;
    sendMissing(context, path, request, response);
  }
}

function isNoSuchFile(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function sendMissing(
  context: BootHttpContext,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const name = path.slice(0, 200);
  report(context, request, {
    kind: "http.missing",
    summary: `asked for ${name}, which is not served`,
    facts: { path: name },
  });
  sendText(response, 404, `${name} is not served here.\n`);
}

function refuse(
  context: BootHttpContext,
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  why: string,
): void {
  response.setHeader("connection", "close");
  report(context, request, { kind: "http.refused", summary: why, facts: { status } });
  sendText(response, status, `${why}\n`);
}

function report(context: BootHttpContext, request: IncomingMessage, event: BootEvent): void {
  context.onEvent(null, remoteAddress(request), event);
}
