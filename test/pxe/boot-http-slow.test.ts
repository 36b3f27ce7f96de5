/** Clients that are slow, silent, many or gone, and files that change while they are sent. */
import { randomBytes } from "node:crypto";
import { open, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { BootHttpLimits } from "../../src/pxe/io/boot-http.ts";
import { type RawClient, startTestBootServer, type TestBootServer } from "./helpers/boot-http-server.ts";

/** More than the kernel keeps for a connection that is not read (tcp_wmem and tcp_rmem: 4 and 6 MB). */
const LARGE_BYTES = 32 * 1024 * 1024;
const LARGE = randomBytes(LARGE_BYTES);
const PATH = "/ramdisk/vmlinuz";
const GET = `GET ${PATH} HTTP/1.1\r\nHost: boot\r\n\r\n`;
const GET_SMALL = "GET /ramdisk/small HTTP/1.1\r\nHost: boot\r\n\r\n";

let opened = new AsyncDisposableStack();
afterEach(async () => {
  await opened.disposeAsync();
  opened = new AsyncDisposableStack();
});

async function start(limits: Partial<BootHttpLimits> = {}): Promise<TestBootServer> {
  return opened.use(
    await startTestBootServer({ [PATH]: LARGE, "/ramdisk/small": Buffer.from("small") }, limits),
  );
}

const filePath = ({ folder }: TestBootServer) => join(folder, PATH.replaceAll("/", "_"));

/** Reads the first bytes, and no more until it is told to. */
async function beginToRead(server: TestBootServer, from?: string): Promise<RawClient> {
  const client = opened.use(await server.connect(from));
  client.send(GET);
  await client.until(1);
  client.socket.pause();
  return client;
}

/** Reads on, to the end of the answer. */
async function readToEnd(client: RawClient): Promise<string> {
  client.socket.resume();
  const head = await client.until(/\r\n\r\n/);
  return await client.until(head.indexOf("\r\n\r\n") + 4 + LARGE_BYTES);
}

const sizeOf = (answer: string) => answer.length - answer.indexOf("\r\n\r\n") - 4;
const body = (answer: string) => Buffer.from(answer.slice(-sizeOf(answer)), "latin1");

describe("slow and silent clients", () => {
  it.each([
    ["nothing at all", ""],
    ["half a request", "GET /ramdisk/small HTTP/1.1\r\nHost: bo"],
    ["a request without its end", "GET /ramdisk/small HTTP/1.1\r\nHost: boot\r\n"],
  ])("are told 408 when they send %s", async (_what, begun) => {
    const server = await start({ headersMs: 200 });
    using client = await server.connect();
    if (begun !== "") client.send(begun);
    expect(await client.ended).toMatch(/^HTTP\/1\.1 408 /);
    await server.toldOf("http.refused", "sent no whole request in 0.2 s");
  });

  it("are not given more time for sending a byte now and then", async () => {
    const server = await start({ headersMs: 200 });
    using client = await server.connect();
    const drip = setInterval(() => client.send("X"), 20);
    client.send("GET / HTTP/1.1\r\n");
    expect(await client.ended).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  it("that keep a connection without using it are hung up on", async () => {
    const server = await start({ keepAliveMs: 100, headersMs: 1000 });
    using client = await server.connect();
    client.send(GET_SMALL);
    expect(await client.ended).toMatch(/small$/);
  });

  it("that stop reading are ended, and the timeline says how far they got", async () => {
    const server = await start({ pieceMs: 300 });
    const client = await beginToRead(server);
    const { facts, summary } = await server.toldOf("http.failed", "the machine took less than");
    expect(summary).toMatch(/bytes in 0\.3 s$/);
    expect(facts).toMatchObject({ path: PATH, sizeBytes: LARGE_BYTES });
    expect(facts.doneBytes).toBeLessThan(LARGE_BYTES);
    client.socket.resume();
    expect(sizeOf(await client.ended)).toBeLessThan(LARGE_BYTES);
  });

  it("that read slowly, but read, get it all", async () => {
    const server = await start({ pieceMs: 5000 });
    const client = await beginToRead(server);
    // A rest after each megabyte, as a machine that writes what it reads to a slow disk.
    let nextRest = 0;
    client.socket.on("data", () => {
      if (client.socket.bytesRead < nextRest) return;
      nextRest += 1024 * 1024;
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 2);
    });
    client.socket.resume();
    await client.until(LARGE_BYTES);
    expect((await server.toldOf("http.done", PATH)).facts.doneBytes).toBe(LARGE_BYTES);
  });

  it("that leave are told of, with how far they got", async () => {
    const server = await start();
    (await beginToRead(server)).socket.destroy();
    const { facts } = await server.toldOf("http.failed", /of 33554432 bytes, then the machine closed/);
    expect(facts.doneBytes).toBeLessThan(LARGE_BYTES);
    expect(facts.durationMs).toBeGreaterThanOrEqual(0);
  });

  it("hold little memory, however many do not read", async () => {
    const server = await start();
    const before = process.memoryUsage().arrayBuffers;
    const clients = await Promise.all(Array.from({ length: 300 }, () => beginToRead(server)));
    const grownBytes = process.memoryUsage().arrayBuffers - before;
    // The clients are in this process too, with 64 KiB each before they pause; a stream per client would hold 512 KiB and more.
    expect(grownBytes).toBeLessThan((32 + 64) * 1024 * 1024);
    using other = await server.connect("127.0.0.2");
    other.send(GET_SMALL);
    expect(await other.until(/small$/)).toMatch(/^HTTP\/1\.1 200 /);
    for (const { socket } of clients) socket.destroy();
  });
});

describe("files that change while they are sent", () => {
  it("are sent to their end as they were when another takes their name", async () => {
    const server = await start();
    const client = await beginToRead(server);
    const replacement = join(server.folder, "new");
    await writeFile(replacement, "another kernel");
    await rename(replacement, filePath(server));
    expect(body(await readToEnd(client)).equals(LARGE)).toBe(true);
  });

  it("are sent to their end when they are removed", async () => {
    const server = await start();
    const client = await beginToRead(server);
    await rm(filePath(server));
    const answer = await readToEnd(client);
    expect(body(answer).equals(LARGE)).toBe(true);
    client.send(GET);
    expect((await client.until(answer.length + 1)).slice(answer.length)).toMatch(/^HTTP\/1\.1 500 /);
    await server.toldOf("http.failed", "cannot be served: ENOENT");
  });

  it("break the connection when they become shorter, and the timeline says where they end", async () => {
    const server = await start();
    const client = await beginToRead(server);
    await truncate(filePath(server), LARGE_BYTES / 2);
    client.socket.resume();
    expect(sizeOf(await client.ended)).toBeLessThanOrEqual(LARGE_BYTES / 2);
    await server.toldOf("http.failed", /then the file ends at byte \d+ now$/);
  });

  it("break the connection before its end when they are written over in place", async () => {
    const server = await start();
    const client = await beginToRead(server);
    const file = await open(filePath(server), "r+");
    await file.write(randomBytes(1000), 0, 1000, 5000);
    await file.close();
    client.socket.resume();
    expect(sizeOf(await client.ended)).toBeLessThan(LARGE_BYTES);
    await server.toldOf("http.failed", "then the file was changed meanwhile");
  });
});

describe("thousands of connections", () => {
  it("serves machines while 4,000 connections of others are open and idle", async () => {
    const server = await start({ headersMs: 30_000 });
    const idle: RawClient[] = [];
    while (idle.length < 4000) {
      idle.push(...(await Promise.all(Array.from({ length: 200 }, () => server.connect("127.0.0.2")))));
    }
    const machines = await Promise.all(
      Array.from({ length: 50 }, async () => {
        using machine = await server.connect();
        machine.send(GET_SMALL);
        return await machine.until(/small$/);
      }),
    );
    expect(machines.every(answer => answer.startsWith("HTTP/1.1 200 "))).toBe(true);
    expect(idle.every(({ socket }) => !socket.destroyed)).toBe(true);
    for (const { socket } of idle) socket.destroy();
  });

  it("lets no stranger keep the machines out", async () => {
    const server = await start({ connections: 20 });
    const stranger = await Promise.all(Array.from({ length: 30 }, () => server.connect("127.0.0.66")));
    // 20 of them are let in, the first ones.
    await Promise.all(stranger.slice(20).map(({ ended }) => ended));
    expect(stranger.slice(0, 20).every(({ socket }) => !socket.destroyed)).toBe(true);
    await server.toldOf("http.crowded", "127.0.0.66 was not let in");
    for (const address of ["127.0.0.2", "127.0.0.3", "127.0.0.4"]) {
      const machine = opened.use(await server.connect(address));
      machine.send(GET_SMALL);
      expect(await machine.until(/small$/)).toMatch(/^HTTP\/1\.1 200 /);
    }
    await server.toldOf("http.crowded", "one of 127.0.0.66 made room for 127.0.0.2");
    for (const { socket } of stranger) socket.destroy();
  });

  it("takes from who has most what waits for nothing, before what is being sent", async () => {
    const server = await start({ connections: 3 });
    const busy = await beginToRead(server, "127.0.0.66");
    const idle = [await server.connect("127.0.0.66"), await server.connect("127.0.0.66")];
    const machine = opened.use(await server.connect("127.0.0.2"));
    await Promise.race(idle.map(({ ended }) => ended));
    expect(idle.filter(({ socket }) => socket.destroyed)).toHaveLength(1);
    machine.send(GET_SMALL);
    expect(await machine.until(/small$/)).toMatch(/small$/);
    expect(body(await readToEnd(busy)).equals(LARGE)).toBe(true);
    for (const { socket } of idle) socket.destroy();
  });
});
