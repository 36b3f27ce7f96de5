import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import type { EventRecord } from "../../src/store/ports.ts";
import { machineRecord, newEvent } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

const SSE = { accept: "text/event-stream" };

async function append(hub: TestHub, ...summaries: string[]): Promise<void> {
  await hub.store.commit(summaries.map(summary => ({ kind: "append-event", event: newEvent({ summary }) })));
}

/** Events of a stream as they come. */
async function* follow(
  hub: TestHub,
  path: string,
  headers: Record<string, string> = {},
): AsyncGenerator<EventRecord> {
  const response = await hub.open("GET", path, { headers: { ...SSE, ...headers } });
  expect(response.headers["content-type"]).toBe("text/event-stream");
  try {
    for await (const line of createInterface({ input: response })) {
      if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length));
    }
  } finally {
    response.destroy();
  }
}

async function take(stream: AsyncGenerator<EventRecord>, count: number): Promise<string[]> {
  const summaries: string[] = [];
  for (let taken = 0; taken < count; taken++) summaries.push((await stream.next()).value?.summary);
  return summaries;
}

test("a stream gives each event once and in order, and a broken one goes on where it stopped", async () => {
  await using hub = await startTestHub();
  await append(hub, "one", "two", "three");
  const first = follow(hub, "/api/v1/events?after=0");
  expect(await take(first, 2)).toEqual(["one", "two"]);
  await first.return(undefined);
  await append(hub, "four");
  const second = follow(hub, "/api/v1/events", { "last-event-id": "2" });
  expect(await take(second, 2)).toEqual(["three", "four"]);
  await append(hub, "five");
  await append(hub, "six");
  expect(await take(second, 2)).toEqual(["five", "six"]);
  await second.return(undefined);
});

test("a stream without a cursor begins now, and one of a machine tells of no other", async () => {
  await using hub = await startTestHub();
  await hub.store.commit([{ kind: "insert-machine", machine: machineRecord() }]);
  await append(hub, "long ago");
  const response = await hub.open("GET", "/api/v1/events?machine=node-1", { headers: SSE });
  await once(response, "readable");
  await hub.store.commit([
    { kind: "append-event", event: newEvent({ summary: "of nobody" }) },
    { kind: "append-event", event: newEvent({ summary: "of node-1", machineId: "m-1" }) },
  ]);
  for await (const line of createInterface({ input: response })) {
    if (!line.startsWith("data: ")) continue;
    expect(JSON.parse(line.slice(6)).summary).toBe("of node-1");
    break;
  }
  response.destroy();
});

test("a client that reads nothing for long gets everything, in order, once it reads", async () => {
  await using hub = await startTestHub();
  const response = await hub.open("GET", "/api/v1/events?after=0", { headers: SSE });
  response.pause();
  const wide = "x".repeat(20_000);
  for (let batch = 0; batch < 20; batch++) {
    await append(hub, ...Array.from({ length: 50 }, (_, index) => `${batch * 50 + index} ${wide}`));
  }
  let next = 0;
  for await (const line of createInterface({ input: response })) {
    if (!line.startsWith("data: ")) continue;
    expect(JSON.parse(line.slice(6)).summary.split(" ")[0]).toBe(String(next++));
    if (next === 1000) break;
  }
  response.destroy();
});

test("streams end when the hub stops", async () => {
  await using hub = await startTestHub();
  const response = await hub.open("GET", "/api/v1/events", { headers: SSE });
  const ended = once(response.resume(), "close");
  hub.stopStreams();
  await ended;
});

test("a list gives the newest events in rising order, or those after a cursor", async () => {
  await using hub = await startTestHub();
  await append(hub, "one", "two", "three");
  const summaries = async (query: string) => {
    const { body } = await hub.call("GET", `/api/v1/events?${query}`);
    return [(body.items as unknown as EventRecord[]).map(event => event.summary), body.next];
  };
  expect(await summaries("limit=2")).toEqual([["two", "three"], null]);
  expect(await summaries("limit=2&after=0")).toEqual([["one", "two"], "2"]);
  expect(await summaries("limit=2&after=2")).toEqual([["three"], null]);
});
