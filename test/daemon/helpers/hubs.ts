/** Hubs as processes of their own, each on free ports and its own data, ended with the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";

export interface Served {
  readonly child: ChildProcess;
  /** Everything on stderr so far. */
  readonly words: () => string;
  readonly exited: Promise<unknown[]>;
}

export class Hubs implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "drp-serve-"));
  readonly #running: ChildProcess[] = [];

  start(...flags: string[]): Served {
    const main = join(import.meta.dirname, "../../../src/main.ts");
    const child = spawn(process.execPath, [main, "serve", ...flags], {
      cwd: this.folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#running.push(child);
    let words = "";
    child.stderr?.on("data", chunk => {
      words += chunk;
    });
    return { child, words: () => words, exited: once(child, "close") };
  }

  async [Symbol.asyncDispose]() {
    for (const child of this.#running) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function untilReady(served: Served): Promise<void> {
  while (!served.words().includes("admin token")) {
    const ended = await Promise.race([
      once(served.child.stderr ?? served.child, "data"),
      served.exited.then(() => "ended"),
    ]);
    if (ended === "ended") throw new Error(`drp serve ended:\n${served.words()}`);
  }
}

export async function freePorts(): Promise<{ flags: string[]; api: number; siteChannel: number }> {
  const servers = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map(server => (server.address() as { port: number }).port);
  await Promise.all(servers.map(server => once(server.close(), "close")));
  const names = ["--api-port", "--site-channel-port", "--boot-port", "--machine-channel-port", "--tftp-port"];
  return {
    flags: names.flatMap((name, index) => [name, String(ports[index])]),
    api: ports[0] ?? 0,
    siteChannel: ports[1] ?? 0,
  };
}

/** As the admin whose token lies in the data folder. */
export async function callApi(port: number, method: string, path: string, data: string, body?: unknown) {
  const token = readFileSync(join(data, "admin.token"), "utf8").trim();
  const sent = request({
    host: "localhost",
    port,
    method,
    path,
    ca: readFileSync(join(data, "ca.pem")),
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
  });
  const answered = once(sent, "response");
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await answered;
  return json(response);
}
