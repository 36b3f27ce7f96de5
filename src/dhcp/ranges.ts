/** Sets of addresses as sorted ranges that do not touch. */
import type { Ipv4 } from "../core/ipv4.ts";

/** Both ends belong to it. */
export interface AddressRange {
  readonly first: Ipv4;
  readonly last: Ipv4;
}

/** `ranges` without every address of `holes`, sorted; overlaps in either are fine. */
export function subtractRanges(
  ranges: readonly AddressRange[],
  holes: readonly AddressRange[],
): AddressRange[] {
  const sortedHoles = byFirst(holes);
  const left: AddressRange[] = [];
  let taken = -1;
  for (const range of byFirst(ranges)) {
    let next = Math.max(range.first, taken + 1);
    for (const hole of sortedHoles) {
      if (hole.last < next) continue;
      if (hole.first > range.last) break;
      if (hole.first > next) left.push({ first: next as Ipv4, last: (hole.first - 1) as Ipv4 });
      next = hole.last + 1;
    }
    if (next <= range.last) left.push({ first: next as Ipv4, last: range.last });
    taken = Math.max(taken, range.last);
  }
  return left;
}

/** @param ranges sorted, as `subtractRanges` returns them */
export function rangesContain(ranges: readonly AddressRange[], address: Ipv4): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range === undefined) return false;
    if (address < range.first) high = middle - 1;
    else if (address > range.last) low = middle + 1;
    else return true;
  }
  return false;
}

export function countAddresses(ranges: readonly AddressRange[]): number {
  return ranges.reduce((count, { first, last }) => count + last - first + 1, 0);
}

function byFirst(ranges: readonly AddressRange[]): AddressRange[] {
  return ranges.filter(range => range.first <= range.last).toSorted((a, b) => a.first - b.first);
}
