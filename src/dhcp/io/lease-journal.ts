/** The lease journal on disk, with the journals that it replaced as history. */
import { stat } from "node:fs/promises";
import { decodeCheckedLine } from "../../core/checked-line.ts";
import type { DurableChange } from "../lease-change.ts";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../lease-journal.ts";
import { LineJournal, readJournal } from "./line-journal.ts";

/** About 130,000 changes; replaying them takes a second or two. */
const COMPACT_AT_BYTES = 16 * 1024 * 1024;
/** With COMPACT_AT_BYTES 128 MiB: a million changes, which for a site of 100 machines are years. */
export const KEPT_JOURNALS = 8;

export interface LeaseJournal {
  /** Resolves when the change is on disk; rejects when it is not, and then nothing of it stays in the file. */
  append(change: DurableChange): Promise<void>;
  /** Waits for what was appended. */
  close(): Promise<void>;
}

export interface OpenedJournal {
  /** In the order in which they were written. */
  readonly changes: readonly DurableChange[];
  /**
   * Begins writing: goes on with the file if its end is whole, and else with a compact one in its place.
   *
   * @param durableChanges everything worth keeping, asked for again whenever the file has grown large, and read in steps
   */
  start(durableChanges: () => Iterable<DurableChange>): Promise<LeaseJournal>;
}

/**
 * @param path made if it is missing, with its folder
 * @throws {DrpError} lease-journal.damaged
 */
export async function openLeaseJournal(
  path: string,
  compactAtBytes: number = COMPACT_AT_BYTES,
): Promise<OpenedJournal> {
  const bytes = await readJournal(path);
  const endIsWhole = hasWholeEnd(bytes);
  return {
    changes: decodeJournal(bytes, path),
    start: async durableChanges => {
      const journal = new LineJournal({
        path,
        compactAtBytes,
        keepReplaced: KEPT_JOURNALS,
        compactLines: function* () {
          yield JOURNAL_HEADER;
          for (const change of durableChanges()) yield encodeChange(change);
        },
      });
      if (endIsWhole) await journal.resume((await stat(path)).size);
      else await journal.compact();
      return { append: change => journal.append(encodeChange(change)), close: () => journal.close() };
    },
  };
}

/** Not so for an empty file, and where a power cut tore the last line. */
function hasWholeEnd(bytes: Uint8Array): boolean {
  if (bytes.at(-1) !== 0x0a) return false;
  const lastLine = bytes.subarray(bytes.lastIndexOf(0x0a, -2) + 1, -1);
  return decodeCheckedLine(lastLine) !== undefined;
}
