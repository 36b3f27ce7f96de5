/** A boot HTTP server with a few files, and clients that speak to it byte by byte. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DrpError } from "../../../src/core/errors.ts";
import type { BootEvent } from "../../../src/dhcp/boot-event.ts";
import { type BootHttpLimits, startBootHttp } from "../../../src/pxe/io/boot-http.ts";

export const DIGEST = "ab".repeat(32);
export const KNOWN_MAC = "52:54:00:00:00:01";

export interface ToldEvent extends BootEvent {
  readonly mac: string | null;
  readonly from: string;
}

export interface TestBootServer extends AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly base: string;
  readonly events: ToldEvent[];
  /** Resolves once such an event was told, at once if it was already. */
  toldOf(kind: string, summary?: string | RegExp): Promise<ToldEvent>;
  /** A connection of one's own. @param from on 127.0.0.0/8 every address is there */
  connect(from?: string): Promise<RawClient>;
}

/** @param files by URL path */
export async function startTestBootServer(
  files: Record<string, Uint8Array>,
  limits: Partial<BootHttpLimits> = {},
): Promise<TestBootServer> {
  const folder = await mkdtemp(join(tmpdir(), "drp-boot-http-"));
  const nameOf = (urlPath: string) => join(folder, urlPath.replaceAll("/", "_"));
  for (const [urlPath, bytes] of Object.entries(files)) await writeFile(nameOf(urlPath), bytes);
  const events: ToldEvent[] = [];
  const listeners = new Set<() => void>();
  const server = await startBootHttp({
    host: "127.0.0.1",
    port: 0,
    findFile: path => (path in files || path === "/loaders/gone.efi" ? nameOf(path) : undefined),
    findChunk: async digest => (digest === DIGEST ? nameOf("/chunk") : undefined),
    scriptFor: async (mac, _from, localAddress) => {
      if (mac !== KNOWN_MAC) throw new DrpError("hub.unreachable", "the hub does not answer");
      return { kind: "refused", reason: `a test at ${localAddress}` };
    },
    onEvent: (mac, from, event) => {
      events.push({ mac, from, ...event });
      for (const listener of listeners) listener();
    },
    clock: Date.now,
    limits,
  });
  return {
    folder,
    port: server.port,
    base: `http://127.0.0.1:${server.port}`,
    events,
    toldOf(kind, summary = "") {
      const find = () => events.find(event => event.kind === kind && event.summary.match(summary) !== null);
      const { promise, resolve } = Promise.withResolvers<ToldEvent>();
      const look = () => {
        const found = find();
        if (found === undefined) return;
        listeners.delete(look);
        resolve(found);
      };
      listeners.add(look);
      look();
      return promise;
    },
    connect: from => connectRaw(server.port, from),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Sees the bytes that come, and when the server ends the connection. */
export interface RawClient extends Disposable {
  readonly socket: Socket;
  send(text: string): void;
  /** All that has come so far, one character a byte. */
  text(): string;
  /** Resolves with text() when it holds so many bytes, or matches, or the connection has ended. */
  until(enough: number | RegExp): Promise<string>;
  /** Resolves with text() when the connection has ended, however. */
  readonly ended: Promise<string>;
}

async function connectRaw(port: number, localAddress = "127.0.0.1"): Promise<RawClient> {
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  const parts: Buffer[] = [];
  let received = 0;
  let over = false;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of waiting) look();
  };
  const text = () => Buffer.concat(parts).toString("latin1");
  socket.on("data", (bytes: Buffer) => {
    parts.push(bytes);
    received += bytes.length;
    wake();
  });
  // A reset is an end like another: "close" follows.
  socket.on("error", () => {});
  const ended = new Promise<string>(resolve =>
    socket.on("close", () => {
      over = true;
      resolve(text());
      wake();
    }),
  );
  await new Promise<void>(resolve => {
    socket.once("connect", resolve);
    socket.once("close", () => resolve());
  });
  return {
    socket,
    send: sent => socket.write(Buffer.from(sent, "latin1")),
    text,
    until: enough =>
      new Promise<string>(resolve => {
        const look = () => {
          const there = typeof enough === "number" ? received >= enough : enough.test(text());
          if (!over && !there) return;
          waiting.delete(look);
          resolve(text());
        };
        waiting.add(look);
        look();
      }),
    ended,
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** "200", "404" … of every answer in a stream of them. */
export function statusCodes(stream: string): string[] {
  return Array.from(stream.matchAll(/HTTP\/1\.1 (\d{3})/g), match => match[1] ?? "");
}
