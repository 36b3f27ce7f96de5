/** How a TFTP transfer fares on real sockets: what it tells, and what clients and files may do meanwhile. */
import { createHash, randomBytes } from "node:crypto";
import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BootEvent } from "../../src/dhcp/boot-event.ts";
import type { TftpFile } from "../../src/pxe/boot-desk.ts";
import { startTftpServer, type TftpServer } from "../../src/pxe/io/tftp-server.ts";
import { fetchWithTftp } from "./helpers/tftp-client.ts";
import { openUdpClient } from "./helpers/udp-client.ts";

const LOADER = randomBytes(300_001);
const request = (name: string, options = "") => Buffer.from(`\0\x01${name}\0octet\0${options}`, "latin1");
const ack = (block: number) => Buffer.of(0, 4, block >> 8, block & 0xff);
const data = (block: number) => Buffer.of(0, 3, block >> 8, block & 0xff);

let folder = "";
let server: TftpServer;
let events: BootEvent[] = [];
let heard: (() => void)[] = [];
let findFile: (name: string) => Promise<TftpFile | undefined>;
let lookUps: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drp-tftp-session-"));
});
afterAll(async () => await rm(folder, { recursive: true }));

beforeEach(async () => {
  events = [];
  heard = [];
  lookUps = [];
  await writeFile(join(folder, "ipxe.efi"), LOADER);
  findFile = async name => ({ kind: "file", path: join(folder, name) });
  server = await startTftpServer({
    address: "127.0.0.1",
    port: 0,
    findFile: name => {
      lookUps.push(name);
      return findFile(name);
    },
    onEvent: (_from, event) => {
      events.push(event);
      for (const wake of heard.splice(0)) wake();
    },
  });
});
afterEach(async () => await server.close());

async function eventOf(kind: string): Promise<BootEvent> {
  for (;;) {
    const event = events.find(known => known.kind === kind);
    if (event !== undefined) return event;
    await new Promise<void>(resolve => heard.push(resolve));
  }
}

describe("the events of a transfer", () => {
  it("say how far it got and at what cost", async () => {
    await fetchWithTftp({ port: server.port, name: "ipxe.efi", blockBytes: 1428, windowBlocks: 16 });
    expect((await eventOf("tftp.start")).facts).toEqual({
      file: "ipxe.efi",
      sizeBytes: 300_001,
      blockBytes: 1428,
      windowBlocks: 16,
    });
    expect((await eventOf("tftp.done")).facts).toEqual({
      file: "ipxe.efi",
      sizeBytes: 300_001,
      doneBytes: 300_001,
      blockBytes: 1428,
      windowBlocks: 16,
      durationMs: expect.any(Number),
      resentBlocks: 0,
    });
  });

  it("say where a client broke off", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    const { port } = await client.next();
    client.send(ack(1), port);
    await client.next();
    client.send(Buffer.from("\0\x05\0\x03disk full\0"), port);
    expect(await eventOf("tftp.failed")).toMatchObject({
      summary: "ipxe.efi: the client stopped at block 1: disk full",
      facts: { doneBytes: 512, sizeBytes: 300_001 },
    });
  });

  it("say when UEFI only asked for the size", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi", "tsize\x000\0blksize\x001468\0"), server.port);
    const { bytes, port } = await client.next();
    expect(bytes.toString("latin1")).toBe("\0\x06blksize\x001468\0tsize\x00300001\0");
    client.send(Buffer.from("\0\x05\0\0User aborted the transfer\0"), port);
    expect(await eventOf("tftp.size")).toMatchObject({ facts: { file: "ipxe.efi", doneBytes: 0 } });
  });
});

describe("a client", () => {
  it("that repeats its request while the file is looked for gets one transfer", async () => {
    const found = Promise.withResolvers<TftpFile>();
    findFile = async () => await found.promise;
    await using client = await openUdpClient();
    for (let time = 0; time < 3; time++) client.send(request("grub/grub.cfg"), server.port);
    await using other = await openUdpClient();
    other.send(request("x"), server.port);
    while (!lookUps.includes("x")) await new Promise(resolve => setImmediate(resolve));
    expect(lookUps).toEqual(["grub/grub.cfg", "x"]);
    found.resolve({ kind: "content", bytes: Buffer.from("boot") });
    expect((await client.next()).bytes).toEqual(Buffer.from("\0\x03\0\x01boot", "latin1"));
  });

  it("is told that its file cannot be looked up, and the next one is served", async () => {
    findFile = async () => {
      throw new Error("the site is not there");
    };
    const fetch = () => fetchWithTftp({ port: server.port, name: "ipxe.efi" });
    await expect(fetch()).rejects.toThrow("ipxe.efi cannot be read");
    expect((await eventOf("tftp.failed")).summary).toBe("ipxe.efi: the site is not there");
    findFile = async name => ({ kind: "file", path: join(folder, name) });
    expect((await fetch()).equals(LOADER)).toBe(true);
  });

  it("that asks for its next file from the same port leaves the transfer that it does not finish", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    const first = await client.next();
    client.send(request("/ipxe.efi\xff"), server.port);
    const second = await client.next();
    expect(second.port).not.toBe(first.port);
    expect((await eventOf("tftp.failed")).summary).toBe("ipxe.efi: the client asked anew");
    client.send(ack(1), second.port);
    expect((await client.next()).bytes.subarray(0, 4)).toEqual(data(2));
  });

  it("gets blocks as large as the interface's frames, and no larger", async () => {
    // Loopback carries 65,536 bytes.
    const fetched = await fetchWithTftp({ port: server.port, name: "ipxe.efi", blockBytes: 65_464 });
    expect(fetched.equals(LOADER)).toBe(true);
    expect((await eventOf("tftp.done")).facts).toMatchObject({ blockBytes: 65_464 });
  });

  it("is told when the server stops", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    const { port } = await client.next();
    client.send(ack(1), port);
    await client.next();
    await server.close();
    expect((await client.next()).bytes.toString("latin1")).toBe("\0\x05\0\0the server stops\0");
    server = await startTftpServer({ address: "127.0.0.1", port: 0, findFile, onEvent: () => {} });
  });

  it("is not disturbed by a stranger late in a long transfer", async () => {
    await using client = await openUdpClient();
    await using stranger = await openUdpClient();
    client.send(request("ipxe.efi"), server.port);
    let { port } = await client.next();
    for (let block = 1; block <= 200; block++) {
      client.send(ack(block), port);
      stranger.send(ack(block + 1), port);
      const next = await client.next();
      expect(next.bytes.subarray(0, 4)).toEqual(data(block + 1));
      ({ port } = next);
    }
  });
});

describe("a file", () => {
  it("of more than 65,535 blocks arrives whole: block numbers roll over", async () => {
    const large = randomBytes(40_000_000);
    await writeFile(join(folder, "ramdisk.img"), large);
    const shapes = [
      { blockBytes: 512, windowBlocks: 1 },
      { blockBytes: 512, windowBlocks: 64 },
    ];
    for (const shape of shapes) {
      const fetched = await fetchWithTftp({ port: server.port, name: "ramdisk.img", ...shape });
      expect(fetched.length).toBe(large.length);
      expect(fetched.equals(large), JSON.stringify(shape)).toBe(true);
    }
  });

  it.each([0, 1, 511, 512, 65_536, 131_072, 65_535 + 1428])("of %i bytes arrives whole", async size => {
    const bytes = randomBytes(size);
    await writeFile(join(folder, "exact"), bytes);
    for (const blockBytes of [512, 1428, 8192]) {
      const fetched = await fetchWithTftp({ port: server.port, name: "exact", blockBytes, windowBlocks: 8 });
      expect(fetched.equals(bytes), `${blockBytes}`).toBe(true);
    }
  });

  it("goes to 60 clients at once", async () => {
    const fetched = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        fetchWithTftp({
          port: server.port,
          name: "ipxe.efi",
          blockBytes: 1428,
          windowBlocks: 1 + (index % 8),
        }),
      ),
    );
    const digests = new Set(fetched.map(bytes => createHash("sha256").update(bytes).digest("hex")));
    expect([...digests]).toEqual([createHash("sha256").update(LOADER).digest("hex")]);
  });

  it("that was replaced is served anew; a transfer that had begun ends with the old one", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi", "blksize\x001024\0"), server.port);
    const { port } = await client.next();
    const replacement = randomBytes(LOADER.length);
    await writeFile(join(folder, "new"), replacement);
    await rename(join(folder, "new"), join(folder, "ipxe.efi"));
    expect((await fetchWithTftp({ port: server.port, name: "ipxe.efi" })).equals(replacement)).toBe(true);
    const received: Buffer[] = [];
    for (let block = 0; received.at(-1)?.length !== LOADER.length % 1024; block++) {
      client.send(ack(block), port);
      received.push((await client.next()).bytes.subarray(4));
    }
    expect(Buffer.concat(received).equals(LOADER)).toBe(true);
  });

  it("that is written to while it is sent breaks the transfer off: half of it would be old", async () => {
    await using client = await openUdpClient();
    client.send(request("ipxe.efi", "blksize\x0065464\0"), server.port);
    const { port } = await client.next();
    client.send(ack(0), port);
    await client.next();
    await appendFile(join(folder, "ipxe.efi"), "more");
    let last: Uint8Array = new Uint8Array();
    for (let block = 1; last[1] !== 5; block++) {
      client.send(ack(block), port);
      last = (await client.next()).bytes;
    }
    expect(Buffer.from(last).toString("latin1", 4)).toBe("the file cannot be read\0");
    expect((await eventOf("tftp.failed")).summary).toMatch(/was written to while it was sent$/);
  });
});
