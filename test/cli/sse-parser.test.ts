import { expect, test } from "vitest";
import { SseParser } from "../../src/cli/format/sse-parser.ts";

const STREAM =
  'retry: 2000\n\n: still here\n\nid: 7\ndata: {"a":1}\n\nid: 8\r\ndata: one\r\ndata: two\r\n\r\n';

test("messages come out whole however the stream is cut", () => {
  const whole = new SseParser().push(STREAM);
  expect(whole).toEqual([
    { id: "7", event: "message", data: '{"a":1}' },
    { id: "8", event: "message", data: "one\ntwo" },
  ]);
  for (let cut = 1; cut < STREAM.length; cut++) {
    const parser = new SseParser();
    expect([...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))]).toEqual(whole);
  }
});

test("a stream that never ends its message is refused", () => {
  expect(() => new SseParser().push(`data: ${"x".repeat(2 ** 20)}`)).toThrow("does not end");
});
