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

interface Held {
  /** Null: not known, or the span is always the same. */
  readonly at: number | null;
  /** Before `at`: it runs out with nothing, as what was given back. */
  readonly until: number;
}

/**
 * Finds what runs out first in constant time: things that are held for one span run out in the order in which they came, so
 * there is a list for each span. There are as many spans as the configuration had lease times while these leases were given.
 */
export class ExpiryQueue<T extends AgeLinks<T> & Held> {
  length = 0;
  private readonly bySpan = new Map<number, AgeList<T>>();

  push(item: T): void {
    const span = spanOf(item);
    const list = this.bySpan.get(span) ?? new AgeList<T>();
    if (list.length === 0) this.bySpan.set(span, list);
    list.push(item);
    this.length++;
  }

  /** @param item must be in this queue */
  remove(item: T): void {
    const span = spanOf(item);
    const list = this.bySpan.get(span);
    list?.remove(item);
    if (list?.length === 0) this.bySpan.delete(span);
    this.length--;
  }

  /** The one that runs out first; while the clock was set back, one that runs out about then. */
  first(): T | undefined {
    let first: T | undefined;
    for (const { oldest } of this.bySpan.values()) {
      if (oldest !== undefined && (first === undefined || oldest.until < first.until)) first = oldest;
    }
    return first;
  }
}

function spanOf({ at, until }: Held): number {
  return at === null ? 0 : Math.max(0, until - at);
}
