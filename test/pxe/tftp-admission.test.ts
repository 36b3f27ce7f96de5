import { describe, expect, it } from "vitest";
import { admitTransfer, type Slot } from "../../src/pxe/tftp-admission.ts";

const NOW = 10_000;

/** @param restingMs since the client was last heard */
const slots = (
  count: number,
  address: (index: number) => string,
  confirmed: boolean,
  restingMs = 0,
): Slot[] =>
  Array.from({ length: count }, (_, index) => ({
    address: address(index),
    confirmed,
    progressAtMs: NOW - restingMs,
  }));
const rack = (index: number) => `10.0.${index >> 8}.${index & 255}`;

describe("admitTransfer()", () => {
  it("admits 500 machines that power on together, and asks the 501st to wait without a word", () => {
    expect(admitTransfer(slots(499, rack, true), "10.1.0.1", NOW)).toEqual({ kind: "admit" });
    expect(admitTransfer(slots(500, rack, true), "10.1.0.1", NOW)).toMatchObject({
      kind: "refuse",
      tell: false,
    });
  });

  it("admits 64 machines behind one address, and refuses the 65th", () => {
    const one = () => "10.0.0.1";
    expect(admitTransfer(slots(63, one, true), "10.0.0.1", NOW)).toEqual({ kind: "admit" });
    expect(admitTransfer(slots(64, one, true), "10.0.0.1", NOW)).toMatchObject({
      kind: "refuse",
      tell: true,
    });
    expect(admitTransfer(slots(64, one, true), "10.0.0.2", NOW)).toEqual({ kind: "admit" });
  });

  it("ends the request that was unanswered longest, be it a flood in others' names or in its own", () => {
    const [first, ...rest] = slots(500, rack, false, 300);
    const oldest = { ...first, progressAtMs: NOW - 900 } as Slot;
    expect(admitTransfer([...rest, oldest], "10.1.0.1", NOW)).toMatchObject({
      kind: "replace",
      slot: oldest,
    });
    const own = slots(64, () => "10.1.0.1", false, 300);
    expect(admitTransfer(own, "10.1.0.1", NOW)).toMatchObject({ kind: "replace", slot: own[0] });
  });

  it("says nothing to an address in whose name a stranger may ask: there is room in a moment", () => {
    const one = () => "10.0.0.1";
    const mixed = [...slots(40, one, true), ...slots(24, one, false)];
    expect(admitTransfer(mixed, "10.0.0.1", NOW)).toMatchObject({ kind: "refuse", tell: false });
  });

  it("gives each request a quarter of a second before it gives way", () => {
    expect(admitTransfer(slots(500, rack, false, 249), "10.1.0.1", NOW)).toMatchObject({ kind: "refuse" });
  });

  it("lets the address that holds most give way to one that holds fewer, its longest resting transfer first", () => {
    const hog = slots(60, () => "10.9.9.9", true, 10);
    const resting = { address: "10.9.9.9", confirmed: true, progressAtMs: NOW - 5000 };
    const all = [...slots(439, rack, true, 9000), ...hog, resting];
    expect(admitTransfer(all, "10.1.0.1", NOW)).toMatchObject({ kind: "replace", slot: resting });
    expect(admitTransfer(all, "10.9.9.9", NOW)).toMatchObject({ kind: "refuse" });
  });
});
