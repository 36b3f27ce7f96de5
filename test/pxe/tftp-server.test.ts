import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TftpFile } from "../../src/pxe/boot-desk.ts";
import { startTftpServer, type TftpServer } from "../../src/pxe/io/tftp-server.ts";
import { openUdpClient } from "./helpers/udp-client.ts";

const LOADER = randomBytes(300_001);
const SCRIPT = Buffer.from("#!ipxe\n");

/** npm's "tftp" 0.1.2, which carries no types. */
interface TftpPackage {
  createClient(options: { host: string; port: number; windowSize?: number; blockSize?: number }): {
    get(remote: string, local: string, done: (error: Error | null) => void): void;
    put(local: string, remote: string, done: (error: Error | null) => void): void;
  };
}
const tftp: TftpPackage = createRequire(import.meta.url)("tftp");

let folder = "";
let server: TftpServer;
let events: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drp-tftp-"));
  await writeFile(join(folder, "loader.efi"), LOADER);
});
afterAll(async () => await rm(folder, { recursive: true }));

beforeEach(async () => {
  events = [];
  const files = new Map<string, TftpFile>([
    ["ipxe.efi", { kind: "file", path: join(folder, "loader.efi") }],
    ["autoexec.ipxe", { kind: "content", bytes: SCRIPT }],
    ["gone.efi", { kind: "file", path: join(folder, "gone.efi") }],
  ]);
  server = await startTftpServer({
    address: "127.0.0.1",
    port: 0,
    findFile: async name => files.get(name),
    onEvent: (_from, event) => events.push(`${event.kind} ${event.summary}`),
  });
});
afterEach(async () => await server.close());

async function fetchFile(
  name: string,
  options: { windowSize?: number; blockSize?: number } = {},
): Promise<Buffer> {
  const local = join(folder, randomBytes(6).toString("hex"));
  const client = tftp.createClient({ host: "127.0.0.1", port: server.port, ...options });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  client.get(name, local, error => (error === null || error === undefined ? resolve() : reject(error)));
  await promise;
  return await readFile(local);
}

const request = (name: string, opcode = 1, mode = "octet") =>
  Buffer.from(`\0${String.fromCharCode(opcode)}${name}\0${mode}\0`);

describe("the TFTP server", () => {
  it("gives npm's tftp client a file byte for byte, with and without windows", async () => {
    expect(await fetchFile("ipxe.efi", { windowSize: 1, blockSize: 512 })).toEqual(LOADER);
    expect(await fetchFile("/ipxe.efi", { windowSize: 16, blockSize: 1428 })).toEqual(LOADER);
    expect(events.filter(event => event.startsWith("tftp.done"))).toHaveLength(2);
  });

  it("serves content that is no file", async () => {
    expect(await fetchFile("autoexec.ipxe")).toEqual(SCRIPT);
  });

  it.each(["../loader.efi", "..\\loader.efi", "/etc/passwd", "ipxe.efi/..", "", "ipxe.efi\0x"])(
    "has nothing by the name of %j",
    async name => {
      await using client = await openUdpClient();
      client.send(
        Buffer.concat([Uint8Array.of(0, 1), Buffer.from(name.replace("\0", "%")), Buffer.from("\0octet\0")]),
        server.port,
      );
      expect((await client.next()).bytes.subarray(0, 4)).toEqual(Buffer.of(0, 5, 0, 1));
    },
  );

  it.each([
    ["an upload", request("ipxe.efi", 2), Buffer.of(0, 5, 0, 2)],
    ["a mode that would change the bytes", request("ipxe.efi", 1, "netascii"), Buffer.of(0, 5, 0, 0)],
    ["a file that has gone from the disk", request("gone.efi"), Buffer.of(0, 5, 0, 0)],
  ])("refuses %s", async (_name, packet, start) => {
    await using client = await openUdpClient();
    client.send(packet, server.port);
    expect((await client.next()).bytes.subarray(0, 4)).toEqual(start);
  });

  it("answers each transfer from a port of its own, and one request sent twice once", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    client.send(request("ipxe.efi"), server.port);
    const first = await client.next();
    expect(first.port).not.toBe(server.port);
    client.send(Buffer.of(0, 4, 0, 1), first.port);
    expect((await client.next()).bytes.subarray(0, 4)).toEqual(Buffer.of(0, 3, 0, 2));
    expect(events).toEqual([`tftp.start ipxe.efi, ${LOADER.length} bytes`]);
  });

  it("tells a stranger on a transfer's port off, and goes on (RFC 1350 §4)", async () => {
    await using client = await openUdpClient();
    await using stranger = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    const { port } = await client.next();
    stranger.send(Buffer.of(0, 4, 0, 1), port);
    expect((await stranger.next()).bytes.subarray(0, 4)).toEqual(Buffer.of(0, 5, 0, 5));
    client.send(Buffer.of(0, 4, 0, 1), port);
    expect((await client.next()).bytes.subarray(0, 4)).toEqual(Buffer.of(0, 3, 0, 2));
  });

  it("refuses an address's 65th transfer", async () => {
    await using client = await openUdpClient();
    const others = await Promise.all(Array.from({ length: 64 }, openUdpClient));
    for (const other of others) {
      other.send(request("ipxe.efi"), server.port);
      const { port } = await other.next();
      other.send(Buffer.of(0, 4, 0, 1), port);
      await other.next();
    }
    client.send(request("ipxe.efi"), server.port);
    expect((await client.next()).bytes.toString("latin1")).toContain("too many transfers");
    for (const other of others) await other[Symbol.asyncDispose]();
  });

  it("survives 3,000 random and mutated packets at its port and at a transfer's", {
    timeout: 30_000,
  }, async () => {
    await using client = await openUdpClient();
    await using stranger = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    const { port } = await client.next();
    const packets = fc.sample(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc
          .tuple(fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 60 }))
          .map(([code, rest]) => Uint8Array.of(0, code, ...rest)),
      ),
      { numRuns: 3000, seed: 20_26 },
    );
    for (const [index, packet] of packets.entries()) {
      stranger.send(packet, index % 2 === 0 ? server.port : port);
      if (index % 100 === 0) await new Promise(resolve => setImmediate(resolve));
    }
    let block: Buffer;
    do {
      // The stranger's packets may have left no room for it; then block 1 comes again.
      client.send(Buffer.of(0, 4, 0, 1), port);
      block = (await client.next()).bytes.subarray(0, 4);
    } while (block.equals(Buffer.of(0, 3, 0, 1)));
    expect(block).toEqual(Buffer.of(0, 3, 0, 2));
    expect(await fetchFile("ipxe.efi")).toEqual(LOADER);
  });

  it("says that its port is taken, and what to do", async () => {
    const again = startTftpServer({
      address: "127.0.0.1",
      port: server.port,
      findFile: async () => undefined,
      onEvent: () => {},
    });
    await expect(again).rejects.toMatchObject({
      code: "port.in-use",
      advice: expect.stringContaining("ss -ulpn"),
    });
  });
});
