/** HTTP as boot clients of every age speak it, and as strangers do, byte by byte. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  KNOWN_MAC,
  type RawClient,
  startTestBootServer,
  statusCodes,
  type TestBootServer,
} from "./helpers/boot-http-server.ts";

const LOADER = randomBytes(100_000);
const SMALL = Buffer.from("0123456789");

let server: TestBootServer;
beforeAll(async () => {
  server = await startTestBootServer({ "/loaders/ipxe.efi": LOADER, "/ramdisk/small": SMALL });
});
afterAll(async () => await server[Symbol.asyncDispose]());

/** Sends it all at once. @returns all that came, when the server has ended the connection */
async function exchange(text: string, from?: string): Promise<string> {
  using client = await server.connect(from);
  client.send(text);
  return await client.ended;
}

const body = (answer: string) => answer.slice(answer.indexOf("\r\n\r\n") + 4);
const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: boot\r\n${more}\r\n`;
const getAndClose = (path: string, more = "") => get(path, `Connection: close\r\n${more}`);

async function isStillServing(): Promise<boolean> {
  return body(await exchange(getAndClose("/ramdisk/small"))) === "0123456789";
}

describe("clients that boot machines", () => {
  it("tells EDK2's HTTP boot size and kind in the answer to HEAD, then sends it over the same connection", async () => {
    using client = await server.connect();
    const request = (method: string) =>
      `${method} /loaders/ipxe.efi HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAccept: */*\r\n` +
      "User-Agent: UefiHttpBoot/1.0\r\n\r\n";
    client.send(request("HEAD"));
    const head = await client.until(/\r\n\r\n/);
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head).toMatch(/\r\ncontent-length: 100000\r\n/i);
    expect(head).toMatch(/\r\ncontent-type: application\/efi\r\n/i);
    expect(body(head)).toBe("");
    client.send(request("GET"));
    const both = await client.until(head.length * 2 + LOADER.length);
    expect(both.endsWith(LOADER.toString("latin1"))).toBe(true);
    await expect(server.toldOf("http.size")).resolves.toMatchObject({
      facts: { path: "/loaders/ipxe.efi", sizeBytes: 100_000 },
    });
    await expect(server.toldOf("http.done", "/loaders/ipxe.efi")).resolves.toMatchObject({
      from: "127.0.0.1",
      facts: { path: "/loaders/ipxe.efi", sizeBytes: 100_000, doneBytes: 100_000 },
    });
  });

  it("serves GRUB: a whole file, then seeks by ranges over the connection that it keeps", async () => {
    using client = await server.connect();
    client.send(get("/ramdisk/small", "User-Agent: GRUB 2.06\r\n"));
    await client.until(/0123456789$/);
    client.send(get("/ramdisk/small", "User-Agent: GRUB 2.06\r\nRange: bytes=7-\r\n"));
    const both = await client.until(/\r\n\r\n789$/);
    expect(statusCodes(both)).toEqual(["200", "206"]);
    expect(both).toMatch(/content-range: bytes 7-9\/10\r\n/i);
    await expect(server.toldOf("http.done", "from byte 7")).resolves.toMatchObject({
      facts: { path: "/ramdisk/small", sizeBytes: 3, doneBytes: 3, firstByte: 7, fileBytes: 10 },
    });
  });

  it("ends the connection after an HTTP/1.0 request, which need name no host", async () => {
    const answer = await exchange("GET /ramdisk/small HTTP/1.0\r\n\r\n");
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(body(answer)).toBe("0123456789");
  });

  it("keeps the connection of an HTTP/1.0 client that asks for it", async () => {
    using client = await server.connect();
    const request = "GET /ramdisk/small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    client.send(request);
    expect(await client.until(/0123456789$/)).toMatch(/\r\nconnection: keep-alive\r\n/i);
    client.send(request);
    expect(statusCodes(await client.until(/0123456789.*0123456789$/s))).toEqual(["200", "200"]);
  });

  it("leads autoexec.ipxe to the address that it was asked at, whatever host was named", async () => {
    const answer = await exchange("GET /loaders/autoexec.ipxe HTTP/1.0\r\nHost: ${evil}\r\n\r\n");
    expect(body(answer)).toContain(`chain http://127.0.0.1:${server.port}/boot.ipxe?mac=`);
  });

  it("asks for a script's author with the address that was reached, and makes none for HEAD", async () => {
    const head = await exchange(
      `HEAD /boot.ipxe?mac=${KNOWN_MAC} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect([statusCodes(head), body(head)]).toEqual([["200"], ""]);
    expect(server.events.filter(({ kind }) => kind.startsWith("script."))).toEqual([]);
    expect(await exchange(getAndClose(`/boot.ipxe?mac=${KNOWN_MAC}`))).toContain("a test at 127.0.0.1");
  });
});

describe("pipelined requests", () => {
  it("are answered in their order, one after the other", async () => {
    const requests = get("/loaders/ipxe.efi") + get("/nothing") + getAndClose("/ramdisk/small");
    const answers = await exchange(requests);
    expect(statusCodes(answers.replace(LOADER.toString("latin1"), ""))).toEqual(["200", "404", "200"]);
    expect(answers).toContain(LOADER.toString("latin1"));
    expect(answers.endsWith("0123456789")).toBe(true);
  });

  it("are answered also when they come one byte at a time", async () => {
    using client = await server.connect();
    client.socket.setNoDelay();
    for (const byte of get("/ramdisk/small") + getAndClose("/ramdisk/small")) client.send(byte);
    expect(statusCodes(await client.ended)).toEqual(["200", "200"]);
  });

  it("end the connection when hundreds are sent ahead", async () => {
    const answers = await exchange(get("/ramdisk/small").repeat(1000));
    expect(statusCodes(answers).length).toBeLessThan(1000);
    expect(await isStillServing()).toBe(true);
  });

  it("that turn into garbage never mix an error's text into a file's bytes", async () => {
    const answer = await exchange(`${get("/loaders/ipxe.efi")}\0\0\0 garbage\r\n\r\n`);
    expect(answer).not.toContain("400 Bad Request");
  });
});

describe("requests that are none of a boot client's", () => {
  it.each([
    ["another method", "DELETE /ramdisk/small HTTP/1.1\r\nHost: x\r\n\r\n", "405"],
    ["a method for all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "405"],
    ["an upload", "PUT /ramdisk/small HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405"],
    ["a GET with a body", get("/ramdisk/small", "Content-Length: 9999999\r\n"), "413"],
    ["a GET with chunks", get("/ramdisk/small", "Transfer-Encoding: chunked\r\n"), "413"],
    ["no host (RFC 9112 §3.2)", "GET /ramdisk/small HTTP/1.1\r\n\r\n", "400"],
    ["two lengths (RFC 9112 §6.3)", get("/", "Content-Length: 1\r\nContent-Length: 2\r\n"), "400"],
    ["a way out", getAndClose("/loaders/../../../etc/passwd"), "400"],
    ["an escaped way out", getAndClose("/loaders/%2e%2e/%2e%2e/etc/passwd"), "400"],
    ["a NUL in a name", getAndClose("/ramdisk/small%00"), "400"],
    ["bytes beyond ASCII", getAndClose("/ramdisk/\u00e9\u00ff"), "(400|404)"],
    ["a name 100 KB long", getAndClose(`/${"a".repeat(100_000)}`), "431"],
    ["a field 100 KB long", getAndClose("/ramdisk/small", `X: ${"a".repeat(100_000)}\r\n`), "431"],
    ["ten thousand fields", getAndClose("/ramdisk/small", "X: y\r\n".repeat(10_000)), "431"],
    ["an expectation that none has", getAndClose("/ramdisk/small", "Expect: tea\r\n"), "417"],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".padEnd(200, "\x00"), "400"],
    ["a tunnel", "CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", ""],
  ])("%s: is refused, and the connection ends", async (_what, request, status) => {
    const answer = await exchange(request);
    expect(answer).toMatch(status === "" ? /^$/ : new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).not.toContain("0123456789");
    expect(await isStillServing()).toBe(true);
  });

  it("are told to the timeline, ten of a kind a minute from each address", async () => {
    const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".padEnd(200, "\x00");
    for (let count = 0; count < 20; count++) await exchange(hello, "127.0.0.7");
    await exchange(getAndClose("/a-name"), "127.0.0.8");
    await expect(server.toldOf("http.missing", "a-name")).resolves.toMatchObject({
      mac: null,
      from: "127.0.0.8",
      facts: { path: "/a-name" },
    });
    const refused = server.events.filter(({ from }) => from === "127.0.0.7");
    expect(refused).toHaveLength(10);
    expect(refused[0]).toMatchObject({
      kind: "http.refused",
      summary: "speaks TLS; boot files are served as http:// only",
    });
  });

  it("answers a client that waits for 100 Continue", async () => {
    const answer = await exchange(getAndClose("/ramdisk/small", "Expect: 100-continue\r\n"));
    expect(statusCodes(answer).at(-1)).toBe("200");
    expect(answer.endsWith("0123456789")).toBe(true);
  });

  it("takes the absolute form, a doubled slash and an upgrade that it does not know for what they ask", async () => {
    for (const request of [
      getAndClose("http://elsewhere:1/ramdisk/small"),
      getAndClose("//ramdisk//small"),
      get("/ramdisk/small", "Connection: Upgrade, close\r\nUpgrade: h2c\r\n"),
    ]) {
      expect(body(await exchange(request))).toBe("0123456789");
    }
  });

  it("survives whatever bytes come, whole or cut off", async () => {
    const good = getAndClose("/ramdisk/small", "Range: bytes=0-3\r\n");
    const clients: RawClient[] = [];
    for (let round = 0; round < 200; round++) {
      const bytes = Buffer.from(good, "latin1");
      for (let flips = round % 5; flips > 0; flips--) {
        bytes[(round * 31 + flips * 17) % bytes.length] = (round * 7 + flips * 101) % 256;
      }
      const client = await server.connect();
      clients.push(client);
      client.socket.end(bytes.subarray(0, round % 3 === 0 ? bytes.length : (round * 13) % bytes.length));
    }
    await Promise.all(clients.map(client => client.ended));
    expect(await isStillServing()).toBe(true);
  });
});
