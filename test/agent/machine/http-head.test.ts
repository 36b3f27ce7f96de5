import { describe, expect, test } from "vitest";
import { MAX_HEAD_BYTES, parseAnswerHead } from "../../../src/agent/machine/http-head.ts";

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length:  5 \r\n\r\nhello";
const HEAD_BYTES = ANSWER.length - "hello".length;

describe("parseAnswerHead()", () => {
  test("tells status, where the body begins and how long it is", () => {
    expect(parseAnswerHead(Buffer.from(ANSWER))).toEqual({
      status: 200,
      headBytes: HEAD_BYTES,
      bodyBytes: 5,
      keepsAlive: true,
    });
  });

  test("waits at every cut until the head is whole", () => {
    for (let length = 0; length < HEAD_BYTES; length++) {
      expect(parseAnswerHead(Buffer.from(ANSWER.slice(0, length)))).toBeUndefined();
    }
  });

  test.each([
    ["no length", "HTTP/1.1 200 OK\r\n\r\n"],
    ["a length that is no number", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
    ["chunks", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"],
  ])("knows no length of an answer with %s", (_, head) => {
    expect(parseAnswerHead(Buffer.from(head))?.bodyBytes).toBeNull();
  });

  test("tells when the connection ends with the answer", () => {
    const head = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    expect(parseAnswerHead(Buffer.from(head))).toMatchObject({ status: 503, keepsAlive: false });
  });

  test.each([
    "SSH-2.0-x\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 2000\r\n\r\n",
  ])("refuses %j", head =>
    expect(() => parseAnswerHead(Buffer.from(head))).toThrow("is no answer in HTTP/1.1"),
  );

  test("refuses a head without an end", () => {
    expect(() => parseAnswerHead(Buffer.alloc(MAX_HEAD_BYTES, 0x61))).toThrow("a head of more than");
  });
});
