/** The lease journal on disk. */

import type { DurableChange } from "../lease-change.ts";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../lease-journal.ts";
import { LineJournal, readJournal } from "./line-journal.ts";

/** About 150,000 changes; replaying them takes a second. */
const COMPACT_AT_BYTES = 16 * 1024 * 1024;

export interface LeaseJournal {
  /** Resolves when the change is on disk; rejects when it is not, and then nothing of it stays in the file. */
  append(change: DurableChange): Promise<void>;
  /** Waits for what was appended. */
  close(): Promise<void>;
}

export interface OpenedJournal {
  readonly changes: readonly DurableChange[];
  /**
   * Begins writing: the journal is first replaced by a compact one.
   *
   * @param durableChanges everything worth keeping, asked for again whenever the file has grown large
   */
  start(durableChanges: () => readonly DurableChange[]): Promise<LeaseJournal>;
}

/**
 * @param path made if it is missing, with its folder
 * @throws {DrpError} lease-journal.damaged
 */
export async function openLeaseJournal(path: string): Promise<OpenedJournal> {
  const changes = decodeJournal(await readJournal(path), path);
  return {
    changes,
    start: async durableChanges => {
      const journal = new LineJournal(path, COMPACT_AT_BYTES, function* () {
        yield JOURNAL_HEADER;
        for (const change of durableChanges()) yield encodeChange(change);
      });
      await journal.compact();
      return { append: change => journal.append(encodeChange(change)), close: () => journal.close() };
    },
  };
}
