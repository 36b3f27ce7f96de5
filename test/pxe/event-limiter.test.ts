import { describe, expect, it } from "vitest";
import { EventLimiter } from "../../src/pxe/event-limiter.ts";

const OFFER = { kind: "dhcp.offer", summary: "an offer", facts: {} };

function admitted(limiter: EventLimiter, source: string, count: number, now: number): number {
  return Array.from({ length: count }, () => limiter.admit(source, OFFER, now)).filter(Boolean).length;
}

describe("EventLimiter", () => {
  it("lets a boot's events through, and one machine's flood only at first", () => {
    const limiter = new EventLimiter();
    expect(admitted(limiter, "a", 1000, 0)).toBe(10);
    expect(admitted(limiter, "b", 5, 0)).toBe(5);
  });

  it("says later how many were left out", () => {
    const limiter = new EventLimiter();
    admitted(limiter, "a", 25, 0);
    expect(limiter.admit("a", OFFER, 60_000)?.facts).toEqual({ leftOut: 15 });
    expect(limiter.admit("a", OFFER, 60_001)?.facts).toEqual({});
  });

  it("bounds what a stranger under many names gets through", () => {
    const limiter = new EventLimiter();
    const names = Array.from({ length: 50_000 }, (_, index) => String(index));
    expect(names.filter(name => limiter.admit(name, OFFER, 0) !== undefined)).toHaveLength(3000);
  });

  it("does not stay closed when the clock is set back", () => {
    const limiter = new EventLimiter();
    admitted(limiter, "a", 100, 1_000_000);
    expect(limiter.admit("a", OFFER, 0)?.facts).toEqual({ leftOut: 90 });
  });
});
