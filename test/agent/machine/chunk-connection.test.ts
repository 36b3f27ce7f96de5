import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { ChunkConnection } from "../../../src/agent/machine/io/chunk-connection.ts";

const NEVER = new AbortController().signal;

describe("ChunkConnection", () => {
  let server: Server | undefined;
  let accepted: Socket[] = [];

  afterEach(async () => {
    for (const socket of accepted) socket.destroy();
    accepted = [];
    await new Promise(resolve => server?.close(resolve));
  });

  /** @param answer called for each request that comes */
  async function connect(answer: (socket: Socket, request: string) => void): Promise<ChunkConnection> {
    server = createServer(socket => {
      accepted.push(socket);
      socket.on("data", bytes => answer(socket, bytes.toString()));
      socket.on("error", () => undefined);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return await ChunkConnection.open(new URL(`http://127.0.0.1:${port}`), NEVER);
  }

  const head = (length: number) => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`;

  test("fetches one file after another over the same connection", async () => {
    const bodies = [Buffer.alloc(300_000, 1), Buffer.alloc(0), Buffer.alloc(7, 2)];
    const asked: string[] = [];
    const connection = await connect((socket, request) => {
      const body = bodies[asked.length] ?? Buffer.alloc(0);
      asked.push(request.split("\r\n")[0] ?? "");
      socket.write(Buffer.concat([Buffer.from(head(body.length)), body]));
    });
    const memory = Buffer.alloc(300_000);
    for (const [index, body] of bodies.entries()) {
      const answer = await connection.fetch(`/chunks/${index}`, memory, NEVER);
      expect(answer.status).toBe(200);
      expect(answer.body.equals(body)).toBe(true);
    }
    expect(asked).toEqual(["GET /chunks/0 HTTP/1.1", "GET /chunks/1 HTTP/1.1", "GET /chunks/2 HTTP/1.1"]);
    expect(accepted).toHaveLength(1);
    connection.close();
  });

  test("takes an answer that comes byte by byte", async () => {
    const connection = await connect(async socket => {
      socket.setNoDelay(true);
      for (const byte of Buffer.from(`${head(5)}hello`)) {
        socket.write(Uint8Array.of(byte));
        await new Promise(resolve => setImmediate(resolve));
      }
    });
    const { body } = await connection.fetch("/x", Buffer.alloc(5), NEVER);
    expect(body.toString()).toBe("hello");
    connection.close();
  });

  test.each([
    ["a body that is longer than the memory", `${head(6)}`, "6 bytes would come, more than 5"],
    ["more than was announced", `${head(5)}hello!`, "more than the announced 5 bytes came"],
    ["a body without a length", "HTTP/1.1 200 OK\r\n\r\nhello", "does not tell its length"],
    ["no HTTP", "SSH-2.0-x\r\n\r\n", "is no answer in HTTP/1.1"],
  ])("refuses %s", async (_, answer, message) => {
    const connection = await connect(socket => socket.write(answer));
    await expect(connection.fetch("/x", Buffer.alloc(5), NEVER)).rejects.toThrow(message);
    expect(connection.isOpen).toBe(false);
  });

  test("fails when the connection ends in the middle of an answer", async () => {
    const connection = await connect(socket => socket.end(`${head(5)}hel`));
    await expect(connection.fetch("/x", Buffer.alloc(5), NEVER)).rejects.toThrow("the connection was closed");
    await expect(connection.fetch("/x", Buffer.alloc(5), NEVER)).rejects.toThrow("the connection was closed");
  });

  test("ends when nobody wants the answer any longer", async () => {
    const stop = new AbortController();
    const connection = await connect(() => stop.abort());
    await expect(connection.fetch("/x", Buffer.alloc(5), stop.signal)).rejects.toThrow("nobody wants it");
    expect(connection.isOpen).toBe(false);
  });

  test("is of no use after bytes that nobody asked for", async () => {
    const connection = await connect(socket => socket.write(`${head(0)}`));
    await connection.fetch("/x", Buffer.alloc(5), NEVER);
    accepted[0]?.write("more");
    while (connection.isOpen) await new Promise(resolve => setImmediate(resolve));
    await expect(connection.fetch("/x", Buffer.alloc(5), NEVER)).rejects.toThrow("closed");
  });
});
