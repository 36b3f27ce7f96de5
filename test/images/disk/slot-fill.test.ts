import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import { changedRanges, decideChunk, zeroRanges } from "../../../src/images/slot-fill.ts";

const DIGEST = "a".repeat(64);
const BLOCK = 4096;

describe("decideChunk()", () => {
  test.each([
    ["data", "zeroed", "write"],
    ["data", "foreign", "write"],
    ["data", "image", "compare"],
    ["zeros", "zeroed", "skip"],
    ["zeros", "foreign", "compare"],
    ["zeros", "image", "compare"],
  ] as const)("of %s in a slot that is %s: %s", (what, past, step) => {
    expect(decideChunk(what === "data" ? DIGEST : null, past, 1, true)).toBe(step);
  });

  test("does not look for zeros where there were none, but for one chunk in 16", () => {
    const steps = Array.from({ length: 33 }, (_, index) => decideChunk(null, "foreign", index, false));
    expect(steps.flatMap((step, index) => (step === "compare" ? [index] : []))).toEqual([0, 16, 32]);
    expect(decideChunk(null, "image", 1, false)).toBe("compare");
  });
});

describe("changedRanges()", () => {
  test("names the one block in which a byte differs", () => {
    const present = Buffer.alloc(64 * BLOCK);
    const wanted = Buffer.from(present);
    wanted[5 * BLOCK + 17] = 1;
    expect(changedRanges(present, wanted)).toEqual([{ offsetBytes: 5 * BLOCK, lengthBytes: BLOCK }]);
  });

  test("joins what lies within 32 KiB, and nothing farther", () => {
    const present = Buffer.alloc(64 * BLOCK);
    const wanted = Buffer.from(present);
    for (const block of [0, 9, 19]) wanted[block * BLOCK] = 1;
    expect(changedRanges(present, wanted)).toEqual([
      { offsetBytes: 0, lengthBytes: 10 * BLOCK },
      { offsetBytes: 19 * BLOCK, lengthBytes: BLOCK },
    ]);
  });

  test("written over what is present give what is wanted, in whole blocks", () => {
    const blocks = fc.array(fc.constantFrom(0, 1, 2), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(blocks, blocks, (before, after) => {
        const length = Math.min(before.length, after.length);
        const fill = (values: number[]) =>
          Buffer.concat(values.slice(0, length).map(value => Buffer.alloc(BLOCK, value)));
        const [present, wanted] = [fill(before), fill(after)];
        const ranges = changedRanges(present, wanted);
        for (const { offsetBytes, lengthBytes } of ranges) {
          expect(offsetBytes % BLOCK).toBe(0);
          expect(lengthBytes % BLOCK).toBe(0);
          wanted.copy(present, offsetBytes, offsetBytes, offsetBytes + lengthBytes);
        }
        expect(present.equals(wanted)).toBe(true);
      }),
    );
  });
});

describe("zeroRanges()", () => {
  test("joins neighbours, and ends with the payload", () => {
    const chunks = [null, null, DIGEST, null, DIGEST, null];
    const payload = {
      name: "rootfs.img",
      sizeBytes: 5 * CHUNK_BYTES + BLOCK,
      chunkBytes: CHUNK_BYTES,
      chunks,
    } as const;
    expect(zeroRanges(payload)).toEqual([
      { offsetBytes: 0, lengthBytes: 2 * CHUNK_BYTES },
      { offsetBytes: 3 * CHUNK_BYTES, lengthBytes: CHUNK_BYTES },
      { offsetBytes: 5 * CHUNK_BYTES, lengthBytes: BLOCK },
    ]);
  });
});
