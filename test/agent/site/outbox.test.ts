import { expect, test } from "vitest";
import {
  decodeOutbox,
  encodeOutboxEntry,
  encodeOutboxHeader,
  MAX_BOOT_EVENTS,
  Outbox,
} from "../../../src/agent/site/outbox.ts";
import type { SiteReport } from "../../../src/agent/site/view.ts";
import { heartbeatWith, MAC } from "../../helpers/machines.ts";

const heartbeat = (seq: number, change: Parameters<typeof heartbeatWith>[0] = {}): SiteReport => ({
  kind: "heartbeat",
  at: seq,
  machineId: "m-1",
  heartbeat: heartbeatWith({ seq, uptimeSeconds: seq, sentAt: seq, ...change }),
});
const bootEvent = (number: number): SiteReport => ({
  kind: "boot-event",
  at: number,
  mac: MAC,
  event: { kind: "dhcp.offer", summary: `offer ${number}`, facts: {} },
});

function outboxWith(...reports: SiteReport[]): Outbox {
  const outbox = new Outbox();
  for (const report of reports) outbox.add(outbox.number(report));
  return outbox;
}
const seqs = (outbox: Outbox) => outbox.entries().map(({ seq }) => seq);

test("a heartbeat that says the same overtakes the one before; one that says more does not", () => {
  const failing = { health: [{ name: "app", status: "fail", detail: "down" } as const] };
  const outbox = outboxWith(heartbeat(1), heartbeat(2), heartbeat(3, failing), heartbeat(4));
  expect(seqs(outbox)).toEqual([2, 3, 4]);
});

test("of boot events the oldest are dropped and counted; heartbeats and alarms stay", () => {
  const outbox = outboxWith(
    heartbeat(1),
    { kind: "token-replayed", at: 0, mac: MAC, fromAddress: "10.0.0.9" },
    ...Array.from({ length: MAX_BOOT_EVENTS + 3 }, (_, number) => bootEvent(number)),
  );
  expect(outbox.droppedBootEvents).toBe(3);
  expect(seqs(outbox).slice(0, 3)).toEqual([1, 2, 6]);
});

test("numbers go on after everything was sent, and after what another copy of this outbox has sent", () => {
  const outbox = outboxWith(bootEvent(1), bootEvent(2));
  outbox.forgetUpTo(2);
  const { outbox: later } = decodeOutbox(Buffer.from(encodeOutboxHeader(outbox.nextSeq)));
  expect(later.number(bootEvent(3)).seq).toBe(3);
  later.forgetUpTo(40);
  expect(later.number(bootEvent(4)).seq).toBe(41);
});

test("an end that was torn anywhere costs the last report alone", () => {
  const lines = [
    encodeOutboxHeader(1),
    ...[1, 2].map(seq => encodeOutboxEntry({ seq, report: bootEvent(seq) })),
  ];
  const bytes = Buffer.from(lines.join(""));
  const last = lines.at(-1)?.length ?? 0;
  for (let missing = 1; missing < last; missing++) {
    const { outbox, damagedLines } = decodeOutbox(bytes.subarray(0, bytes.length - missing));
    expect(outbox.entries()).toEqual([{ seq: 1, report: bootEvent(1) }]);
    expect(damagedLines).toBe(1);
  }
});

test("a batch is bounded in reports and in bytes", () => {
  const outbox = outboxWith(...Array.from({ length: 501 }, (_, number) => bootEvent(number)));
  expect(outbox.batch()).toHaveLength(500);
  const large = {
    ...bootEvent(1),
    event: { kind: "http.missing", summary: "x".repeat(400_000), facts: {} },
  } as SiteReport;
  expect(outboxWith(large, large, large, large).batch()).toHaveLength(2);
});
