import { describe, expect, it } from "vitest";
import { type AgeLinks, ExpiryQueue } from "../../src/dhcp/age-list.ts";

/** Counts how often a queue asks it when it runs out. */
class Item implements AgeLinks<Item> {
  static asked = 0;
  older: Item | undefined = undefined;
  newer: Item | undefined = undefined;
  readonly at: number | null;
  readonly #until: number;

  constructor(at: number | null, until: number) {
    this.at = at;
    this.#until = until;
  }

  get until(): number {
    Item.asked++;
    return this.#until;
  }
}

function stepsToFindFirst(items: readonly Item[]): number {
  const queue = new ExpiryQueue<Item>();
  for (const item of items) queue.push(item);
  Item.asked = 0;
  queue.first();
  return Item.asked;
}

const many = (make: (index: number) => Item) => Array.from({ length: 1000 }, (_, index) => make(index + 1));

describe("ExpiryQueue", () => {
  it("finds what runs out first among several spans", () => {
    const queue = new ExpiryQueue<Item>();
    const [long, short, later] = [new Item(0, 1000), new Item(1, 11), new Item(2, 12)];
    for (const item of [long, short, later]) queue.push(item);
    expect([queue.first(), queue.length]).toEqual([short, 3]);
    queue.remove(short);
    expect(queue.first()).toBe(later);
    queue.remove(later);
    expect(queue.first()).toBe(long);
    queue.remove(long);
    expect([queue.first(), queue.length]).toEqual([undefined, 0]);
  });

  it.each([
    ["leases of one length", many(index => new Item(index, index + 600))],
    ["what was given back", many(index => new Item(index, 0))],
    ["offers", many(index => new Item(null, index + 60))],
  ])("looks at one of a thousand, for %s", (_what, items) => {
    expect(stepsToFindFirst(items)).toBeLessThanOrEqual(2);
  });
});
