/**
 * What a site has to tell the hub and has not yet been heard on, in order. Bounded where nothing is lost by it: of the
 * heartbeats of one boot that say the same the newest is enough, and of boot events the newest are. Facts about machines
 * stay until the hub has them. Knows no file; `io/outbox-file.ts` does.
 */
import { z } from "zod";
import { decodeCheckedLine, encodeCheckedLine, splitLines } from "../../core/checked-line.ts";
import {
  MAX_REPORTS,
  MAX_REPORTS_BYTES,
  type NumberedReport,
  numberedReportSchema,
} from "../site-protocol.ts";
import type { SiteReport } from "./view.ts";

/** A day of a site that boots a machine every minute. */
export const MAX_BOOT_EVENTS = 10_000;

export class Outbox {
  /** In rising order of their numbers. */
  readonly #entries = new Map<number, SiteReport>();
  /** Machine → its newest heartbeat here. */
  readonly #heartbeats = new Map<string, number>();
  readonly #bootEvents = new Set<number>();
  #nextSeq: number;
  #droppedBootEvents = 0;

  constructor(nextSeq = 1) {
    this.#nextSeq = nextSeq;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Boot events that gave way to newer ones. */
  get droppedBootEvents(): number {
    return this.#droppedBootEvents;
  }

  number(report: SiteReport): NumberedReport {
    return { seq: this.#nextSeq++, report };
  }

  /** @param entry numbered by this outbox, or read back from its file; in order */
  add({ seq, report }: NumberedReport): void {
    this.#nextSeq = Math.max(this.#nextSeq, seq + 1);
    this.#entries.set(seq, report);
    if (report.kind === "boot-event") this.#boundBootEvents(seq);
    if (report.kind === "heartbeat") this.#overtake(seq, report);
  }

  /** The hub has everything up to this number, and numbers go on after it. */
  forgetUpTo(keptSeq: number): void {
    this.#nextSeq = Math.max(this.#nextSeq, keptSeq + 1);
    for (const seq of this.#entries.keys()) {
      if (seq > keptSeq) return;
      this.#delete(seq);
    }
  }

  entries(): NumberedReport[] {
    return Array.from(this.#entries, ([seq, report]) => ({ seq, report }));
  }

  /** What goes into the next request. */
  batch(): NumberedReport[] {
    const batch: NumberedReport[] = [];
    let sizeBytes = 0;
    for (const [seq, report] of this.#entries) {
      sizeBytes += JSON.stringify(report).length;
      if (batch.length > 0 && (batch.length === MAX_REPORTS || sizeBytes > MAX_REPORTS_BYTES)) break;
      batch.push({ seq, report });
    }
    return batch;
  }

  #boundBootEvents(seq: number): void {
    this.#bootEvents.add(seq);
    if (this.#bootEvents.size <= MAX_BOOT_EVENTS) return;
    const [oldest = seq] = this.#bootEvents;
    this.#delete(oldest);
    this.#droppedBootEvents++;
  }

  #overtake(seq: number, report: Extract<SiteReport, { kind: "heartbeat" }>): void {
    const before = this.#heartbeats.get(report.machineId);
    const older = before === undefined ? undefined : this.#entries.get(before);
    if (before !== undefined && older?.kind === "heartbeat" && saysTheSame(older, report))
      this.#delete(before);
    this.#heartbeats.set(report.machineId, seq);
  }

  #delete(seq: number): void {
    this.#entries.delete(seq);
    this.#bootEvents.delete(seq);
  }
}

/** But for how long the machine has been up and when it said so. */
function saysTheSame(
  older: Extract<SiteReport, { kind: "heartbeat" }>,
  newer: Extract<SiteReport, { kind: "heartbeat" }>,
): boolean {
  const constant = { seq: 0, sentAt: 0, uptimeSeconds: 0 };
  return (
    JSON.stringify({ ...older.heartbeat, ...constant }) ===
    JSON.stringify({ ...newer.heartbeat, ...constant })
  );
}

const headerSchema = z.object({
  format: z.literal("drp-outbox"),
  version: z.literal(1),
  nextSeq: z.int().positive(),
});

/** The file's first line: numbers go on where they were, also after everything was sent and forgotten. */
export function encodeOutboxHeader(nextSeq: number): string {
  return encodeCheckedLine({ format: "drp-outbox", version: 1, nextSeq });
}

export function encodeOutboxEntry(entry: NumberedReport): string {
  return encodeCheckedLine(entry);
}

/** @returns also how many lines could not be read: one torn at the end is what a power cut leaves, and was never acknowledged */
export function decodeOutbox(bytes: Uint8Array): { readonly outbox: Outbox; readonly damagedLines: number } {
  let outbox = new Outbox();
  let damagedLines = 0;
  for (const line of splitLines(bytes)) {
    const content = decodeCheckedLine(line.bytes);
    const header = headerSchema.safeParse(content);
    const entry = numberedReportSchema.safeParse(content);
    if (header.success) outbox = new Outbox(header.data.nextSeq);
    else if (entry.success) outbox.add(entry.data);
    else damagedLines++;
  }
  return { outbox, damagedLines };
}
