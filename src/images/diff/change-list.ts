/** Gathers what differs: all of it is counted, and as much of it is listed as an answer may hold. */
import type { FileChange } from "./file-change.ts";

/** Two systems of 100,000 files that have nothing in common still answer in 20 MB. */
const MAX_LISTED = 100_000;

export interface ChangeTotals {
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly addedBytes: number;
  readonly removedBytes: number;
  /** Of files whose bytes differ, in their new size. */
  readonly changedBytes: number;
}

export class ChangeList {
  readonly listed: FileChange[] = [];
  #omitted = 0;
  #totals: ChangeTotals = {
    added: 0,
    removed: 0,
    changed: 0,
    addedBytes: 0,
    removedBytes: 0,
    changedBytes: 0,
  };

  get omitted(): number {
    return this.#omitted;
  }

  get totals(): ChangeTotals {
    return this.#totals;
  }

  add(change: FileChange): void {
    if (this.listed.length < MAX_LISTED) this.listed.push(change);
    else this.#omitted++;
    const { added, removed, changed, addedBytes, removedBytes, changedBytes } = this.#totals;
    const count = (kind: FileChange["change"]) => (change.change === kind ? 1 : 0);
    this.#totals = {
      added: added + count("added"),
      removed: removed + count("removed"),
      changed: changed + count("changed"),
      addedBytes: addedBytes + count("added") * (change.sizeAfter ?? 0),
      removedBytes: removedBytes + count("removed") * (change.sizeBefore ?? 0),
      changedBytes: changedBytes + (change.content ? (change.sizeAfter ?? 0) : 0),
    };
  }
}
