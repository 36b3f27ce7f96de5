import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DrpError } from "../../src/core/errors.ts";
import { type BootHttpServer, startBootHttp } from "../../src/pxe/io/boot-http.ts";
import { whyNoProgram } from "./helpers/network.ts";

const run = promisify(execFile);
const KERNEL = randomBytes(700_000);
const DIGEST = "ab".repeat(32);
const GONE_DIGEST = "cd".repeat(32);
const COMING_DIGEST = "ef".repeat(32);
const KNOWN = "52:54:00:00:00:01";

let folder = "";
let server: BootHttpServer;
let base = "";
const events: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drp-boot-http-"));
  await writeFile(join(folder, "kernel"), KERNEL);
  await writeFile(join(folder, "empty"), "");
  const files = new Map([
    ["/ramdisk/vmlinuz", join(folder, "kernel")],
    ["/ramdisk/empty", join(folder, "empty")],
    ["/loaders/gone.efi", join(folder, "gone")],
  ]);
  server = await startBootHttp({
    host: "127.0.0.1",
    port: 0,
    findFile: path => files.get(path),
    findChunk: async digest => {
      if (digest === COMING_DIGEST) throw new DrpError("timed-out", "it is still on its way to this site");
      return { [DIGEST]: join(folder, "kernel"), [GONE_DIGEST]: join(folder, "gone-chunk") }[digest];
    },
    scriptFor: async mac => {
      if (mac !== KNOWN) throw new DrpError("hub.unreachable", "the hub does not answer");
      return { kind: "refused", reason: "a test" };
    },
    onEvent: (mac, _from, event) => events.push(`${mac} ${event.kind} ${event.summary}`),
    clock: Date.now,
  });
  base = `http://127.0.0.1:${server.port}`;
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function get(path: string, headers: Record<string, string> = {}, method = "GET") {
  const response = await fetch(base + path, { headers, method });
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  };
}

describe("the boot HTTP server", () => {
  it("tells a client to ask again for a chunk that is on its way, and calls that no event", async () => {
    const before = events.length;
    const { status, headers, body } = await get(`/chunks/${COMING_DIGEST}`);
    expect([status, headers.get("retry-after")]).toEqual([503, "1"]);
    expect(body.toString()).toBe("it is still on its way to this site\n");
    expect(events.slice(before)).toEqual([]);
  });

  it("gives a file whole, in part, and its head", async () => {
    const whole = await get("/ramdisk/vmlinuz");
    expect(whole.body.equals(KERNEL)).toBe(true);
    expect(whole.headers.get("content-length")).toBe("700000");
    const part = await get("/ramdisk/vmlinuz", { range: "bytes=699990-" });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, "bytes 699990-699999/700000"]);
    expect(part.body).toEqual(KERNEL.subarray(699_990));
    const head = await get("/ramdisk/vmlinuz", {}, "HEAD");
    expect([head.status, head.headers.get("content-length"), head.body.length]).toEqual([200, "700000", 0]);
    expect((await get("/ramdisk/vmlinuz", { range: "bytes=700000-" })).status).toBe(416);
    expect((await get("/ramdisk/empty")).body).toHaveLength(0);
  });

  it.skipIf(whyNoProgram("curl") !== undefined)("lets curl resume a download", async () => {
    const local = join(folder, "fetched");
    await writeFile(local, KERNEL.subarray(0, 300_000));
    await run("curl", ["-s", "-S", "-f", "-C", "-", "-o", local, `${base}/ramdisk/vmlinuz`]);
    expect((await readFile(local)).equals(KERNEL)).toBe(true);
  });

  it.skipIf(whyNoProgram("curl") !== undefined)("gives curl what it asks for, however it asks", async () => {
    const curl = async (...args: string[]) => {
      const options = { encoding: "buffer", maxBuffer: 10_000_000 } as const;
      return (await run("curl", ["-s", "-S", ...args, `${base}/ramdisk/vmlinuz`], options)).stdout;
    };
    expect((await curl("--http1.0")).equals(KERNEL)).toBe(true);
    expect(await curl("-r", "5-9")).toEqual(KERNEL.subarray(5, 10));
    expect(await curl("-r", "-3")).toEqual(KERNEL.subarray(-3));
    expect((await curl("-r", "0-1,5-6")).equals(KERNEL)).toBe(true);
    expect((await curl("--limit-rate", "10M")).equals(KERNEL)).toBe(true);
    expect((await curl("-I")).toString()).toMatch(/^content-length: 700000\r$/im);
    expect((await curl("-w", "%{http_code}", "-o", join(folder, "no"), "-d", "x=1")).toString()).toBe("405");
    expect(
      (await curl("-w", "%{http_code}", "-o", join(folder, "no"), "-T", join(folder, "kernel"))).toString(),
    ).toBe("405");
  });

  it("does not send again what the client has, nor a part of another version", async () => {
    const etag = (await get("/ramdisk/vmlinuz", {}, "HEAD")).headers.get("etag") ?? "";
    expect((await get("/ramdisk/vmlinuz", { "if-none-match": etag })).status).toBe(304);
    expect((await get("/ramdisk/vmlinuz", { range: "bytes=0-9", "if-range": etag })).status).toBe(206);
    expect((await get("/ramdisk/vmlinuz", { range: "bytes=0-9", "if-range": '"old"' })).status).toBe(200);
  });

  it("lets chunks be kept for ever, and takes nothing but their digests", async () => {
    const chunk = await get(`/chunks/${DIGEST}`);
    expect(chunk.headers.get("cache-control")).toContain("immutable");
    expect((await get(`/chunks/${DIGEST.toUpperCase()}`)).status).toBe(404);
    expect((await get(`/chunks/${GONE_DIGEST}`)).status).toBe(404);
    expect((await get("/chunks/..%2f..%2fetc%2fpasswd")).status).toBe(400);
  });

  it("gives a machine its script, and tells one without a plan why on its screen", async () => {
    expect((await get(`/boot.ipxe?mac=${KNOWN}`)).body.toString()).toContain("drp: nothing to boot: a test");
    expect((await get("/boot.ipxe?mac=52-54-00-00-00-02")).body.toString()).toContain(
      "the hub does not answer",
    );
    expect(events).toContain(`${KNOWN} script.refused a test`);
    expect((await get("/boot.ipxe?mac=nonsense")).status).toBe(400);
  });

  it("has an answer for iPXE's autoexec.ipxe", async () => {
    expect((await get("/loaders/autoexec.ipxe")).body.toString()).toContain(`chain ${base}/boot.ipxe?mac=`);
  });

  it("keeps its own paths to itself when a file is gone", async () => {
    const answer = await get("/loaders/gone.efi");
    expect([answer.status, answer.body.toString()]).toEqual([
      500,
      "This cannot be served now; the server's log says why.\n",
    ]);
    expect(
      events.some(event => event.includes("http.failed /loaders/gone.efi cannot be served: ENOENT")),
    ).toBe(true);
  });

  it("refuses uploads and hostile requests, and goes on", async () => {
    expect((await get("/ramdisk/vmlinuz", {}, "DELETE")).status).toBe(405);
    for (const text of [
      "GET // HTTP/1.1\r\nHost: \r\n\r\n",
      "\0\xff\r\n\r\n",
      `GET /${"a".repeat(100_000)}`,
      "GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n",
    ]) {
      await sendRaw(text);
    }
    expect((await get("/ramdisk/vmlinuz", {}, "HEAD")).status).toBe(200);
  });

  it("says that its port is taken, and what to do", async () => {
    const taken = {
      host: "127.0.0.1",
      port: server.port,
      findFile: () => undefined,
      findChunk: async () => undefined,
    };
    const again = startBootHttp({
      ...taken,
      scriptFor: () => Promise.reject(new Error()),
      onEvent: () => {},
      clock: Date.now,
    });
    await expect(again).rejects.toMatchObject({ code: "port.in-use" });
  });
});

/** Resolves when the server has answered and closed, or closed. */
async function sendRaw(text: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(server.port, "127.0.0.1", () => socket.end(Buffer.from(text, "latin1")));
  socket.on("error", () => resolve());
  socket.on("close", () => resolve());
  socket.resume();
  await promise;
}
