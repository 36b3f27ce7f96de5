/** The real API and the built page on a fleet that shows every state. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createApiApp } from "../../src/api/io/api-app.ts";
import { startApiServer } from "../../src/api/io/api-server.ts";
import { hashTokenSecret } from "../../src/api/token-secret.ts";
import { openCertificateAuthority } from "../../src/daemon/io/ca.ts";
import { openRegistry } from "../../src/images/io/registry.ts";
import { Uploads } from "../../src/images/io/uploads.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import type { Store } from "../../src/store/ports.ts";
import { addressDesk } from "../api/hub.ts";
import { siteRecord, tokenRecord } from "../store/records.ts";

export const TOKEN = "drp_admin";
export const VIEWER_TOKEN = "drp_viewer";

export interface DashboardHub extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
}

export async function startDashboardHub(): Promise<DashboardHub> {
  const folder = mkdtempSync(join(tmpdir(), "drp-dashboard-"));
  const store = await openSqliteStore({ file: join(folder, "drp.db") });
  await store.commit([
    { kind: "insert-site", site: siteRecord({ createdAt: Date.now() }) },
    {
      kind: "insert-token",
      token: tokenRecord({ name: "admin", role: "admin", secretHash: hashTokenSecret(TOKEN) }),
    },
    {
      kind: "insert-token",
      token: tokenRecord({
        id: "t-2",
        name: "viewer",
        role: "viewer",
        secretHash: hashTokenSecret(VIEWER_TOKEN),
      }),
    },
  ]);
  const ca = await openCertificateAuthority(folder, ["localhost"], Date.now());
  const stopping = new AbortController();
  const startedAt = Date.now();
  const registry = await openRegistry(join(folder, "images"));
  const app = createApiApp({
    store,
    registry,
    uploads: await Uploads.open(join(folder, "uploads"), registry, Date.now),
    addresses: addressDesk([
      {
        address: "10.0.0.21",
        mac: "52:54:00:00:00:01",
        hostname: null,
        subnet: "10.0.0.0/24",
        expiresAt: startedAt,
      },
    ]),
    status: () => ({
      version: "0.1.0",
      startedAt,
      services: [
        { name: "api", state: "on", detail: "https://localhost:8092" },
        { name: "boot-http", state: "on", detail: "http://10.0.0.1:8091" },
        {
          name: "dhcp",
          state: "off",
          detail: "port 67 is not to be had: run the hub as root, or turn DHCP off.",
        },
        { name: "tftp", state: "on", detail: "10.0.0.1:69" },
        { name: "machine-channel", state: "on", detail: "https://10.0.0.1:8443" },
        { name: "boot-files", state: "on", detail: "dist/boot" },
      ],
    }),
    ca,
    siteChannelPort: () => 8444,
    clock: Date.now,
    randomBytes,
    version: "0.1.0",
    readDashboardFile,
    stopping: stopping.signal,
    onError: error => {
      throw error;
    },
  });
  const server = await startApiServer({ app, tls: ca.serverTls, port: 0, host: "127.0.0.1" });
  return {
    url: `https://localhost:${server.port}/`,
    store,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await server.stop();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const BUILT_PAGE = resolve("dist/dashboard");

function readDashboardFile(path: string): Buffer | undefined {
  const file = join(BUILT_PAGE, path);
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file) : undefined;
}
