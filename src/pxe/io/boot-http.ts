/**
 * The open HTTP server that machines boot from: scripts, loaders, kernel and ramdisk, image chunks. It holds no secret and
 * checks nobody; what it serves is found by name in fixed tables.
 *
 *   GET /boot.ipxe?mac=MAC            the machine's script
 *   GET /loaders/NAME                 firmware loaders, and autoexec.ipxe
 *   GET /ramdisk/vmlinuz, initrd.img
 *   GET /chunks/HEX                   one zstd frame; never changes
 */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import { type MacAddress, parseMac } from "../../core/mac.ts";
import type { BootEvent } from "../../dhcp/boot-event.ts";
import { parseRange } from "../http-range.ts";
import { type BootPlan, renderAutoexecScript, renderIpxeScript } from "../scripts.ts";

export interface BootHttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** URL path → file: "/loaders/ipxe.efi", "/ramdisk/vmlinuz". Asked for each request. */
  readonly findFile: (urlPath: string) => string | undefined;
  /** @param digestHex 64 lower-case hexadecimal digits @returns a file that holds one zstd frame */
  readonly findChunk: (digestHex: string) => Promise<string | undefined>;
  /**
   * Rejects with a DrpError when there is no plan to be had; the machine is then told and tries again.
   *
   * @param localAddress ours, at which the machine reached us: the one that its URLs must carry
   */
  readonly scriptFor: (mac: MacAddress, remoteAddress: string, localAddress: string) => Promise<BootPlan>;
  /** Null where the request did not say whose it is; the remote address may. */
  readonly onEvent: (mac: MacAddress | null, remoteAddress: string, event: BootEvent) => void;
}

export interface BootHttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Thousands of machines at a large site, each with one or two; memory per idle connection is some 10 KB. */
const MAX_CONNECTIONS = 4096;
/** A machine sends its request at once; a slow stranger is not waited for. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Between two requests of one machine: iPXE and the agent go on at once. */
const KEEP_ALIVE_MS = 15_000;
/** No byte in either direction: the machine was switched off. */
const IDLE_MS = 60_000;
/** Enough for a disk to run ahead of a socket; memory per transfer. */
const READ_BYTES = 256 * 1024;

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function startBootHttp(options: BootHttpOptions): Promise<BootHttpServer> {
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(IDLE_MS);
  server.on("request", (request, response) => void answer(options, request, response));
  server.on("clientError", (_error, socket) => socket.destroy());
  await listen(server, options);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function listen(server: Server, { host, port }: BootHttpOptions): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EADDRINUSE") {
      throw new DrpError("port.in-use", `boot HTTP cannot listen on ${host}:${port}: the port is taken`, {
        advice: `Find who has it with "ss -tlpn sport = :${port}" and stop it, or give another port in the configuration.`,
        facts: { host, port },
        cause,
      });
    }
    if (code === "EACCES") {
      throw new DrpError("port.forbidden", `boot HTTP may not listen on ${host}:${port}`, {
        advice: "Give a port above 1023 in the configuration, or run as root.",
        facts: { host, port },
        cause,
      });
    }
    throw cause;
  }
}

/** Whatever goes wrong ends in an answer or a closed connection, never in an exit. Paths on our disk stay ours. */
async function answer(
  options: BootHttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await route(options, request, response);
  } catch (error) {
    const summary = `${request.url ?? "/"} cannot be served: ${describeErrorChain(error)}`;
    report(options, request, { kind: "http.failed", summary, facts: {} });
    if (response.headersSent) response.destroy();
    else sendText(response, 500, "This cannot be served now; the server's log says why.\n");
  }
}

async function route(
  options: BootHttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return sendText(response, 405, "Only GET and HEAD are served here.\n");
  }
  const url = URL.parse(request.url ?? "/", "http://boot");
  if (url === null) return sendText(response, 400, "This is not an URL.\n");
  const path = url.pathname;
  if (path === "/boot.ipxe") return sendScript(options, url, request, response);
  if (path === "/loaders/autoexec.ipxe") {
    return sendText(response, 200, renderAutoexecScript(`http://${request.headers.host ?? options.host}`));
  }
  const digest = /^\/chunks\/([0-9a-f]{64})$/.exec(path)?.[1];
  const file = digest === undefined ? options.findFile(path) : await options.findChunk(digest);
  if (file === undefined) {
    report(options, request, {
      kind: "http.missing",
      summary: `asked for ${path}, which is not served`,
      facts: {},
    });
    return sendText(response, 404, `${path} is not served here.\n`);
  }
  const sent = await sendFile(request, response, file, digest !== undefined);
  // An install fetches thousands of chunks and reports its own progress.
  if (sent !== undefined && digest === undefined) {
    report(options, request, {
      kind: sent.complete ? "http.done" : "http.failed",
      summary: sent.complete ? `${path}, ${sent.bytes} bytes` : `${path}: the machine left before its end`,
      facts: { path, sizeBytes: sent.bytes },
    });
  }
}

async function sendScript(
  options: BootHttpOptions,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const mac = parseMac(url.searchParams.get("mac") ?? "");
  if (mac === undefined)
    return sendText(response, 400, "Say which machine you are: /boot.ipxe?mac=52:54:00:12:34:56\n");
  const plan = await planOrRefusal(options, mac, request);
  const { kind } = plan;
  const summary = kind === "ramdisk" ? "boots the ramdisk" : plan.reason;
  options.onEvent(mac, remoteAddress(request), { kind: `script.${kind}`, summary, facts: {} });
  sendText(response, 200, renderIpxeScript(plan));
}

/** A machine at a boot prompt can only show what the script prints. */
async function planOrRefusal(
  options: BootHttpOptions,
  mac: MacAddress,
  request: IncomingMessage,
): Promise<BootPlan> {
  try {
    return await options.scriptFor(mac, remoteAddress(request), localAddress(request));
  } catch (error) {
    return { kind: "refused", reason: describeErrorChain(error) };
  }
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(text);
}

/** Undefined when no byte of the file was asked for. */
async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  immutable: boolean,
): Promise<{ bytes: number; complete: boolean } | undefined> {
  const { size, mtimeMs } = await stat(path);
  const etag = `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`;
  response.setHeader("etag", etag);
  response.setHeader("accept-ranges", "bytes");
  response.setHeader("cache-control", immutable ? "public, max-age=31536000, immutable" : "no-cache");
  if (request.headers["if-none-match"] === etag) {
    response.writeHead(304).end();
    return undefined;
  }
  const ifRange = request.headers["if-range"];
  const range = parseRange(
    ifRange === undefined || ifRange === etag ? request.headers.range : undefined,
    size,
  );
  if (range.kind === "unsatisfiable") {
    response.setHeader("content-range", `bytes */${size}`);
    sendText(response, 416, `The file has ${size} bytes.\n`);
    return undefined;
  }
  const [first, last] = range.kind === "part" ? [range.first, range.last] : [0, size - 1];
  const bytes = last - first + 1;
  if (range.kind === "part") response.setHeader("content-range", `bytes ${first}-${last}/${size}`);
  response.writeHead(range.kind === "part" ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": bytes,
  });
  if (request.method === "HEAD" || bytes === 0) {
    response.end();
    return undefined;
  }
  return { bytes, complete: await copyFile(path, first, last, response) };
}

async function copyFile(
  path: string,
  first: number,
  last: number,
  response: ServerResponse,
): Promise<boolean> {
  try {
    await pipeline(createReadStream(path, { start: first, end: last, highWaterMark: READ_BYTES }), response);
    return true;
  } catch {
    return false;
  }
}

function report(options: BootHttpOptions, request: IncomingMessage, event: BootEvent): void {
  options.onEvent(null, remoteAddress(request), event);
}

function remoteAddress(request: IncomingMessage): string {
  return withoutIpv6Prefix(request.socket.remoteAddress);
}

function localAddress(request: IncomingMessage): string {
  return withoutIpv6Prefix(request.socket.localAddress);
}

/** A socket on "::" shows IPv4 addresses as ::ffff:10.0.0.1; one that is closed has none. */
function withoutIpv6Prefix(address: string | undefined): string {
  return address?.replace(/^::ffff:/, "") ?? "";
}
