import { describe, expect, it } from "vitest";
import type { Packet } from "./packets.ts";
import { renderExchange } from "./render-exchange.ts";

const SERVER = "10.0.0.1";
const CLIENT = "10.0.0.9";

function udp(from: [string, number], to: [string, number], payload: Uint8Array): Packet {
  const [fromAddress, fromPort] = from;
  const [address, port] = to;
  return { kind: "udp", from: { address: fromAddress, port: fromPort }, to: { address, port }, payload };
}

const toServer = (port: number, ...bytes: (number | string)[]) =>
  udp([CLIENT, 40_000], [SERVER, port], join(bytes));
const toClient = (port: number, ...bytes: (number | string)[]) =>
  udp([SERVER, port], [CLIENT, 40_000], join(bytes));

function join(parts: readonly (number | string)[]): Uint8Array {
  return Buffer.concat(parts.map(part => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part))));
}

const data = (block: number, sizeBytes: number) =>
  toClient(50_000, 0, 3, block >> 8, block & 255, "x".repeat(sizeBytes));
const ack = (block: number) => toServer(50_000, 0, 4, block >> 8, block & 255);
const request = toServer(69, 0, 1, "ipxe.efi\0octet\0blksize\x00512\0windowsize\x002\0");
const optionAck = toClient(50_000, 0, 6, "blksize\x00512\0windowsize\x002\0");

const ASKED = `10.0.0.9 tftp#1 → 10.0.0.1:69  RRQ ipxe.efi octet blksize=512 windowsize=2
10.0.0.1 → 10.0.0.9 tftp#1  OACK blksize=512 windowsize=2
`;

function http(isRequest: boolean, sequence: number, text: string): Packet {
  const [client, server] = [
    { address: CLIENT, port: 40_001 },
    { address: SERVER, port: 8091 },
  ];
  const [from, to] = isRequest ? [client, server] : [server, client];
  return { kind: "tcp", from, to, sequence, starts: false, payload: Buffer.from(text) };
}

describe("renderExchange()", () => {
  it("tells a transfer in one line, whatever was sent twice", () => {
    const windows = [data(1, 512), data(2, 512), ack(2), data(3, 512), data(3, 512), data(4, 512), ack(4)];
    const end = [data(5, 0), ack(5)];
    expect(renderExchange([request, optionAck, ack(0), ...windows, ...end])).toBe(
      `${ASKED}tftp#1  DATA 1…5 of 512 bytes, the last 0; ACK 0, each 2th and the last\n`,
    );
  });

  it("counts blocks on where sixteen bits begin again, and says what was not seen", () => {
    const blocks = Array.from({ length: 65_540 }, (_, index) => index + 1).filter(block => block !== 65_537);
    const packets = blocks.flatMap(block => [data(block & 0xffff, 8), ack(block & 0xffff)]);
    expect(renderExchange([request, optionAck, ack(0), ...packets])).toContain(
      "DATA 1…65540 of 8 bytes, the last 8; 1 blocks not seen; ACK 0, ",
    );
  });

  it("tells what ends a transfer", () => {
    const refused = toServer(50_000, 0, 5, 0, 8, "no\0");
    expect(renderExchange([request, optionAck, refused])).toBe(
      `${ASKED}10.0.0.9 tftp#1 → 10.0.0.1  ERROR 8 no\n`,
    );
  });

  it("reads HTTP heads out of segments that are cut, out of order and sent again", () => {
    const head = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n\r\n";
    const answer = "HTTP/1.1 206 Partial Content\r\nETag: abc\r\nContent-Length: 4\r\n\r\n";
    const text = renderExchange([
      http(true, 100, head.slice(0, 10)),
      http(true, 110, head.slice(10)),
      http(true, 100, head.slice(0, 10)),
      http(false, 4_294_967_290, answer.slice(0, 40)),
      http(false, 4_294_967_290 + answer.length - 2 ** 32, "body"),
      http(false, 34, answer.slice(40)),
      http(true, 100 + head.length, "HEAD /b HTTP/1.1\r\n\r\n"),
      http(false, 4_294_967_294 + answer.length - 2 ** 32, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
      http(true, 120 + head.length, "GET /c HTTP/1.1\r\n\r\n"),
    ]);
    expect(text).toBe(`10.0.0.9:port#1 → 10.0.0.1:8091  GET /a HTTP/1.1
    host: x
    range: bytes=0-3
10.0.0.1:8091 → 10.0.0.9:port#1  HTTP/1.1 206 Partial Content
    content-length: 4
    etag: etag#1
10.0.0.9:port#1 → 10.0.0.1:8091  HEAD /b HTTP/1.1
10.0.0.1:8091 → 10.0.0.9:port#1  HTTP/1.1 200 OK
    content-length: 9
10.0.0.9:port#1 → 10.0.0.1:8091  GET /c HTTP/1.1
`);
  });

  it("tells a packet that cannot be decoded, and goes on", () => {
    const torn = udp(["0.0.0.0", 68], ["255.255.255.255", 67], Buffer.alloc(10));
    expect(renderExchange([torn, request])).toBe(
      "0.0.0.0:68 → 255.255.255.255:67  malformed: message ends at offset 10; options begin at 240\n" +
        `${ASKED.split("\n")[0]}\n`,
    );
  });
});
