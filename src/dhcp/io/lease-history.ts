/** Answers questions about past leases from the journals on disk, a piece at a time: DHCP goes on meanwhile. */
import { type FileHandle, open } from "node:fs/promises";
import { formatIpv4 } from "../../core/ipv4.ts";
import type { DurableChange } from "../lease-change.ts";
import { LeaseHistory, type LeaseHistoryEntry, type LeaseHistoryQuery } from "../lease-history.ts";
import { decodeChanges } from "../lease-journal.ts";
import { KEPT_JOURNALS } from "./lease-journal.ts";
import { filesWithHistory } from "./rotated-files.ts";

/** 500 lines, decoded in some 3 ms, for which the event loop is held. */
const PIECE_BYTES = 64 * 1024;

/** @param path of the journal that is written now @returns the newest first */
export async function readLeaseHistory(path: string, query: LeaseHistoryQuery): Promise<LeaseHistoryEntry[]> {
  const history = new LeaseHistory(query);
  const files = await filesWithHistory(path, KEPT_JOURNALS);
  for (const [index, file] of files.entries()) {
    if (history.isComplete) break;
    const older = files[index + 1];
    const olderEndsAt = older === undefined ? undefined : await lastTime(older);
    const changes: DurableChange[] = [];
    for await (const change of changesFromTheEnd(file, query)) {
      // What was before the older journal's end is repeated here from there, and no longer in its order.
      if (olderEndsAt !== undefined && change.at !== null && change.at <= olderEndsAt) break;
      changes.push(change);
      // A renewal may be there twice.
      if (changes.length >= 2 * query.limit) break;
    }
    history.addJournal(changes.reverse());
  }
  // Where a journal is missing between two, the beginning of the newer one stands in for it, in the order of addresses.
  return history.entries().toSorted((a, b) => b.at - a.at);
}

async function lastTime(file: string): Promise<number | undefined> {
  for await (const { at } of changesFromTheEnd(file, { address: null, client: null })) {
    if (at !== null) return at;
  }
  return undefined;
}

/** The changes that a query asks for, the last one first; damaged lines are left out. */
async function* changesFromTheEnd(
  path: string,
  { address, client }: Pick<LeaseHistoryQuery, "address" | "client">,
): AsyncGenerator<DurableChange> {
  const wanted = [address === null ? "" : `"${formatIpv4(address)}"`, client === null ? "" : `"${client}"`];
  await using file = await open(path, "r");
  for await (const line of linesFromTheEnd(file)) {
    if (wanted.every(text => line.includes(text))) yield* decodeChanges(line, path);
  }
}

/** Whole lines, each with its newline. */
async function* linesFromTheEnd(file: FileHandle): AsyncGenerator<Buffer> {
  let { size: end } = await file.stat();
  /** The beginning of a line whose rest is in here, not yet whole. */
  let rest = Buffer.alloc(0);
  while (end > 0) {
    const start = Math.max(0, end - PIECE_BYTES);
    const piece = Buffer.alloc(end - start);
    await file.read(piece, 0, piece.length, start);
    const bytes = Buffer.concat([piece, rest]);
    end = start;
    let lineEnd = bytes.length;
    for (;;) {
      const newline = lineEnd < 2 ? -1 : bytes.lastIndexOf(0x0a, lineEnd - 2);
      if (newline < 0) break;
      yield bytes.subarray(newline + 1, lineEnd);
      lineEnd = newline + 1;
    }
    rest = bytes.subarray(0, lineEnd);
  }
  if (rest.length > 0) yield rest;
}
