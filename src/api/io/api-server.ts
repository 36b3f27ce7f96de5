/** The HTTPS server of API and dashboard. */
import { once } from "node:events";
import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { DrpError } from "../../core/errors.ts";

/** No byte for this long ends a connection; event streams send a comment every 15 s. */
const IDLE_MS = 120_000;
const HEADERS_MS = 20_000;
/** How long requests under way may take once the server is to stop. */
const DRAIN_MS = 3_000;

export interface ApiServer {
  readonly port: number;
  /** Takes no more requests, lets those under way finish for a moment, then ends every connection. */
  stop(): Promise<void>;
}

export interface ApiServerOptions {
  readonly app: RequestListener;
  readonly tls: { readonly key: string; readonly cert: string };
  readonly port: number;
  /** Undefined: every address of this host. */
  readonly host?: string;
}

/** @throws {DrpError} port.in-use, port.forbidden */
export async function startApiServer({ app, tls, port, host }: ApiServerOptions): Promise<ApiServer> {
  const server = createServer({ ...tls, minVersion: "TLSv1.2" }, app);
  // An image may take an hour over a thin line: what ends a connection is silence, not length.
  server.requestTimeout = 0;
  server.headersTimeout = HEADERS_MS;
  server.timeout = IDLE_MS;
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    throw listenError(error, port);
  }
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = once(server, "close");
      server.close();
      const drained = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      await closed;
      clearTimeout(drained);
    },
  };
}

function listenError(error: unknown, port: number): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") {
    return new DrpError("port.in-use", `port ${port} is already in use on this host`, {
      advice: `Find who has it with \`ss -ltnp sport = :${port}\` and stop it, or choose another port: DRP_API_PORT=${port + 1}`,
      facts: { port },
      cause: error,
    });
  }
  if (code === "EACCES") {
    return new DrpError("port.forbidden", `this user may not listen on port ${port}`, {
      advice: "Run as root, allow it with `setcap cap_net_bind_service=+ep`, or choose a port above 1023.",
      facts: { port },
      cause: error,
    });
  }
  return error;
}
