/** A real hub API for tests: HTTPS by a CA of its own, SQLite in a temporary folder, a client that trusts that CA. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer, json } from "node:stream/consumers";
import type { AddressDesk } from "../../src/api/deps.ts";
import { createApiApp } from "../../src/api/io/api-app.ts";
import { startApiServer } from "../../src/api/io/api-server.ts";
import { hashTokenSecret } from "../../src/api/token-secret.ts";
import type { Lease } from "../../src/api/wire.ts";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import { openCertificateAuthority } from "../../src/daemon/io/ca.ts";
import { type ImageRegistry, openRegistry } from "../../src/images/io/registry.ts";
import { Uploads } from "../../src/images/io/uploads.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import { ROLES, type Role, type Store } from "../../src/store/ports.ts";
import { NOW, siteRecord, tokenRecord } from "../store/records.ts";

interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  // Tests look at what came; schemas are checked where that is the subject.
  readonly body: Record<string, never> & { readonly [key: string]: never };
}

interface CallOptions {
  /** Sent as this role's token; null: without a token. Default admin. */
  readonly as?: Role | null;
  readonly body?: unknown;
  /** Sent as it is. */
  readonly raw?: string | Buffer | Readable;
  readonly headers?: OutgoingHttpHeaders;
}

export interface TestHub extends AsyncDisposable {
  readonly store: Store;
  readonly port: number;
  readonly caPem: string;
  readonly errors: unknown[];
  readonly registry: ImageRegistry;
  /** Moves the hub's clock, in milliseconds. */
  advance(ms: number): void;
  call(method: string, path: string, options?: CallOptions): Promise<Reply>;
  /** Sends a request and gives the answer as it begins to come in. */
  open(method: string, path: string, options?: CallOptions): Promise<IncomingMessage>;
  /** Ends event streams, as a hub that stops does. */
  stopStreams(): void;
}

/** The token of a role is its name. */
const tokenOf = (role: Role) => `drp_${role}`;

/** An address desk that gives these leases, and forgets one that is released. */
export function addressDesk(leases: readonly Lease[], known: Partial<AddressDesk> = {}): AddressDesk {
  const held = new Map(leases.map(lease => [lease.address, lease]));
  return {
    leases: async () => [...held.values()],
    history: async () => [],
    release: async address => {
      const lease = held.get(formatIpv4(address));
      held.delete(formatIpv4(address));
      return lease;
    },
    subnets: async () => [],
    reservations: async () => [],
    ...known,
  };
}

export async function startTestHub(addresses: AddressDesk = addressDesk([])): Promise<TestHub> {
  const folder = mkdtempSync(join(tmpdir(), "drp-api-"));
  const store = await openSqliteStore({ file: join(folder, "drp.db") });
  await store.commit([
    { kind: "insert-site", site: siteRecord() },
    ...ROLES.map(role => ({
      kind: "insert-token" as const,
      token: tokenRecord({ id: `t-${role}`, name: role, role, secretHash: hashTokenSecret(tokenOf(role)) }),
    })),
  ]);
  const ca = await openCertificateAuthority(folder, ["localhost"], Date.now());
  let now = NOW;
  const registry = await openRegistry(join(folder, "images"));
  const uploads = await Uploads.open(join(folder, "uploads"), registry, () => now);
  const errors: unknown[] = [];
  const stopping = new AbortController();
  const app = createApiApp({
    store,
    registry,
    uploads,
    addresses,
    status: () => ({
      version: "0.0.0",
      startedAt: NOW,
      services: [{ name: "api", state: "on", detail: "test" }],
    }),
    ca,
    siteChannelPort: () => 8444,
    clock: () => now,
    randomBytes,
    version: "0.0.0",
    readDashboardFile: path =>
      path === "index.html" ? Buffer.from("<!doctype html><title>drp</title>") : undefined,
    stopping: stopping.signal,
    onError: error => errors.push(error),
  });
  const server = await startApiServer({ app, tls: ca.serverTls, port: 0, host: "127.0.0.1" });
  const agent = new Agent({ ca: ca.caPem, keepAlive: true });

  async function open(method: string, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    const { as = "admin", body, raw, headers = {} } = options;
    const sent = request({
      agent,
      host: "127.0.0.1",
      servername: "localhost",
      port: server.port,
      method,
      path,
      headers: {
        ...(as === null ? {} : { authorization: `Bearer ${tokenOf(as)}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
    });
    const answered = once(sent, "response");
    if (raw !== undefined && typeof raw !== "string" && !Buffer.isBuffer(raw)) raw.pipe(sent);
    else sent.end(raw ?? (body === undefined ? undefined : JSON.stringify(body)));
    const [response] = await answered;
    return response as IncomingMessage;
  }

  return {
    store,
    port: server.port,
    caPem: ca.caPem,
    errors,
    registry,
    advance: ms => {
      now += ms;
    },
    open,
    async call(method, path, options) {
      const response = await open(method, path, options);
      const isJson = /json/.test(response.headers["content-type"] ?? "");
      const body = isJson ? await json(response) : { text: (await buffer(response)).toString() };
      return { status: response.statusCode ?? 0, headers: response.headers, body: body as Reply["body"] };
    },
    stopStreams: () => stopping.abort(),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      agent.destroy();
      await server.stop();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
