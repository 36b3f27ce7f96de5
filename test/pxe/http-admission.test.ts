import { describe, expect, it } from "vitest";
import { decideAdmission } from "../../src/pxe/http-admission.ts";

const MACHINE = "10.0.0.1";
const STRANGER = "10.0.0.66";

function decide(newcomer: string, held: Record<string, number>) {
  const total = Object.values(held).reduce((sum, count) => sum + count, 0);
  return decideAdmission(newcomer, new Map(Object.entries(held)), total, 100);
}

describe("decideAdmission() with room for a hundred", () => {
  it("lets anybody have as many as are free", () => {
    expect(decide(STRANGER, { [STRANGER]: 99 })).toEqual({ kind: "admit" });
  });

  it("gives a machine one of the stranger who has them all", () => {
    expect(decide(MACHINE, { [STRANGER]: 100 })).toEqual({ kind: "displace", address: STRANGER });
    expect(decide(MACHINE, { [STRANGER]: 60, [MACHINE]: 40 })).toEqual({
      kind: "displace",
      address: STRANGER,
    });
  });

  it("refuses the one who has most, and never trades one place for another", () => {
    expect(decide(STRANGER, { [STRANGER]: 60, [MACHINE]: 40 })).toEqual({ kind: "refuse" });
    expect(decide(MACHINE, { [STRANGER]: 50, [MACHINE]: 50 })).toEqual({ kind: "refuse" });
    expect(decide(MACHINE, { [STRANGER]: 51, [MACHINE]: 49 })).toEqual({
      kind: "displace",
      address: STRANGER,
    });
    expect(decide(MACHINE, { [STRANGER]: 50, [MACHINE]: 49, "10.0.0.2": 1 })).toEqual({ kind: "refuse" });
  });

  it("ends at even shares, in whatever order they come", () => {
    const held = new Map([[STRANGER, 100]]);
    const addresses = [STRANGER, "10.0.0.1", "10.0.0.2", "10.0.0.3"];
    for (let round = 0; round < 200; round++) {
      const newcomer = addresses[round % 4] ?? "";
      const admission = decideAdmission(newcomer, held, 100, 100);
      if (admission.kind !== "displace") continue;
      held.set(admission.address, (held.get(admission.address) ?? 0) - 1);
      held.set(newcomer, (held.get(newcomer) ?? 0) + 1);
    }
    expect([...held.values()].toSorted()).toEqual([25, 25, 25, 25]);
  });
});
