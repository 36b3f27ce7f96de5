/** The outbox on disk: a report is in it for good before anybody is told that it was kept. */
import { LineJournal, readJournal } from "../../../dhcp/io/line-journal.ts";
import type { NumberedReport } from "../../site-protocol.ts";
import { decodeOutbox, encodeOutboxEntry, encodeOutboxHeader, type Outbox } from "../outbox.ts";
import type { SiteReport } from "../view.ts";

/** Some 10,000 heartbeats; read back in a tenth of a second. */
const COMPACT_AT_BYTES = 4 * 1024 * 1024;

export class OutboxFile {
  readonly #outbox: Outbox;
  readonly #journal: LineJournal;

  private constructor(outbox: Outbox, journal: LineJournal) {
    this.#outbox = outbox;
    this.#journal = journal;
  }

  /** @param keptSeq what the hub is known to have @param onDamage told how many lines could not be read, if any */
  static async open(
    path: string,
    keptSeq: number,
    onDamage: (damagedLines: number) => void,
  ): Promise<OutboxFile> {
    const { outbox, damagedLines } = decodeOutbox(await readJournal(path));
    if (damagedLines > 0) onDamage(damagedLines);
    outbox.forgetUpTo(keptSeq);
    const journal = new LineJournal({
      path,
      compactAtBytes: COMPACT_AT_BYTES,
      keepReplaced: 0,
      compactLines: function* () {
        yield encodeOutboxHeader(outbox.nextSeq);
        for (const entry of outbox.entries()) yield encodeOutboxEntry(entry);
      },
    });
    await journal.compact();
    return new OutboxFile(outbox, journal);
  }

  get entries(): readonly NumberedReport[] {
    return this.#outbox.entries();
  }

  get droppedBootEvents(): number {
    return this.#outbox.droppedBootEvents;
  }

  /** Resolves when the reports are on disk, and only then are they among the entries. */
  async append(reports: readonly SiteReport[]): Promise<void> {
    const entries = reports.map(report => this.#outbox.number(report));
    await this.#journal.append(entries.map(encodeOutboxEntry).join(""));
    for (const entry of entries) this.#outbox.add(entry);
  }

  batch(): NumberedReport[] {
    return this.#outbox.batch();
  }

  forgetUpTo(keptSeq: number): void {
    this.#outbox.forgetUpTo(keptSeq);
  }

  async close(): Promise<void> {
    await this.#journal.close();
  }
}
