/**
 * The open HTTP server that machines boot from: scripts, loaders, kernel and ramdisk, image chunks. It holds no secret and
 * checks nobody; what it serves is found by name in fixed tables (boot-http-routes.ts). Here: who may connect, for how long,
 * and what becomes of those who speak no HTTP.
 */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { DrpError } from "../../core/errors.ts";
import { EventLimiter } from "../event-limiter.ts";
import { decideRefusal } from "../http-refusal.ts";
import { withoutIpv6Prefix } from "./boot-http-addresses.ts";
import { BootHttpConnections } from "./boot-http-connections.ts";
import { PiecePool } from "./boot-http-piece-pool.ts";
import { answerRequest, type BootHttpSources } from "./boot-http-routes.ts";

export interface BootHttpOptions extends BootHttpSources {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Tests wait less, and fill it sooner. */
  readonly limits?: Partial<BootHttpLimits>;
}

export interface BootHttpServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface BootHttpLimits {
  readonly connections: number;
  /** From the connection's start, or the last answer's end, to the end of the request's header. */
  readonly headersMs: number;
  /** Between two requests. */
  readonly keepAliveMs: number;
  /** In which a client must take a piece of a file, 8 to 512 KiB (http-piece-size.ts). */
  readonly pieceMs: number;
  /** Not a byte in either direction. */
  readonly idleMs: number;
}

const LIMITS: BootHttpLimits = {
  // Thousands of machines at a large site, each with one or two; an idle one costs some 10 KB.
  connections: 4096,
  // A machine sends its request at once; a slow stranger is not waited for.
  headersMs: 10_000,
  // iPXE and the agent go on at once.
  keepAliveMs: 15_000,
  // 9 KB/s where few fetch, 140 bytes/s among thousands: slower than that, no machine boots.
  pieceMs: 60_000,
  // The machine was switched off. Later than `pieceMs`, which can say what it waited for.
  idleMs: 75_000,
};

/** A request of a boot client has 100 to 500 bytes; a URL of ours fewer than 200. */
const MAX_HEADER_BYTES = 8 * 1024;
/** A rack that powers on connects at the same moment; the kernel's own limit (somaxconn) is 4,096 too. */
const BACKLOG = 4096;

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function startBootHttp(options: BootHttpOptions): Promise<BootHttpServer> {
  const limits = { ...LIMITS, ...options.limits };
  const server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.headersMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.headersMs / 5,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  server.setTimeout(limits.idleMs);
  const connections = new BootHttpConnections(limits.connections);
  const sources = withLimitedEvents(options);
  const context = { ...sources, pool: new PiecePool(), pieceMs: limits.pieceMs };

  server.on("connection", socket => {
    const crowding = connections.admit(socket);
    if (crowding === undefined) return;
    const { newcomer, displaced } = crowding;
    sources.onEvent(null, withoutIpv6Prefix(newcomer), {
      kind: "http.crowded",
      summary:
        displaced === null
          ? `${limits.connections} connections are open, as many as may be; ${newcomer} was not let in`
          : `${limits.connections} connections are open, as many as may be; one of ${displaced} made room for ${newcomer}`,
      facts: { connections: connections.count },
    });
  });
  server.on("request", (request, response) =>
    connections.inTurn(request.socket, () => answerRequest(context, request, response)),
  );
  server.on("clientError", (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Socket) => {
    const refusal = decideRefusal(error.code ?? "", error.rawPacket, limits.headersMs);
    if (refusal === undefined || !socket.writable || connections.isAnswering(socket)) {
      // In the middle of an answer, another one would be taken for its bytes.
      socket.destroy();
    } else {
      socket.end(refusal.answer, () => socket.destroy());
    }
    if (refusal === undefined) return;
    sources.onEvent(null, withoutIpv6Prefix(socket.remoteAddress), {
      kind: "http.refused",
      summary: refusal.summary,
      facts: {},
    });
  });
  await listen(server, options);
  // Too many open files: who could not be accepted tries again, and the rest go on.
  server.on("error", cause =>
    sources.onEvent(null, "", {
      kind: "http.failed",
      summary: `a connection could not be accepted: ${cause.message}`,
      facts: {},
    }),
  );
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

/** A machine that asks in a circle, or a stranger who guesses names, does not fill the timeline. */
function withLimitedEvents(sources: BootHttpSources): BootHttpSources {
  const limiter = new EventLimiter();
  return {
    ...sources,
    onEvent: (mac, remoteAddress, event) => {
      const admitted = limiter.admit(mac ?? remoteAddress, event, sources.clock());
      if (admitted !== undefined) sources.onEvent(mac, remoteAddress, admitted);
    },
  };
}

async function listen(server: Server, { host, port }: BootHttpOptions): Promise<void> {
  server.listen({ port, host, backlog: BACKLOG });
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
