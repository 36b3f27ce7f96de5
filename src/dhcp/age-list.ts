/**
 * Items in the order in which they were put in; any of them can be taken out in constant time. (A Map would do, but V8
 * walks over the tombstones of deleted entries to find the first one left.)
 */
export interface AgeLinks<T> {
  older: T | undefined;
  newer: T | undefined;
}

export class AgeList<T extends AgeLinks<T>> {
  oldest: T | undefined;
  length = 0;
  private newest: T | undefined;

  push(item: T): void {
    item.older = this.newest;
    item.newer = undefined;
    if (this.newest === undefined) this.oldest = item;
    else this.newest.newer = item;
    this.newest = item;
    this.length++;
  }

  /** @param item must be in this list */
  remove(item: T): void {
    if (item.older === undefined) this.oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.newest = item.older;
    else item.newer.older = item.older;
    this.length--;
  }
}
