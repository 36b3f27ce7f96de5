import { expect, test } from "vitest";
import { damageBundle, FORMS } from "./damage.ts";

test.each(FORMS)(
  "a bundle that is cut or changed anywhere is refused with a reason, or is the same image (%s)",
  async form => {
    const { faults, cuts, refusals, harmless } = await damageBundle(form, 61);
    expect(faults).toEqual([]);
    expect(cuts).toBeGreaterThan(20);
    expect(Object.keys(refusals).sort()).toEqual(expect.arrayContaining(["bundle.malformed"]));
    expect(harmless).toBeLessThan(2 * cuts);
  },
);
