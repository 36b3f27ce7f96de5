import { describe, expect, test } from "vitest";
import { describeProgress } from "../../../src/agent/machine/describe-progress.ts";

const MIB = 1024 ** 2;

describe("describeProgress()", () => {
  const half = { phase: "writing", doneBytes: 512 * MIB, totalBytes: 1024 * MIB } as const;

  test("tells bytes of the image, rate and time left", () => {
    expect(describeProgress(half, 256 * MIB)).toBe("writing 512 MiB of 1.0 GiB (50 %), 256 MiB/s, 2 s left");
  });

  test("promises nothing while nothing moves, or nothing is known", () => {
    expect(describeProgress(half, undefined)).toBe("writing 512 MiB of 1.0 GiB (50 %)");
    expect(describeProgress(half, 0)).toBe("writing 512 MiB of 1.0 GiB (50 %)");
  });

  test("counts nothing where there is nothing to count", () => {
    expect(describeProgress({ ...half, phase: "partitioning" }, 5)).toBe("partitioning");
    expect(describeProgress({ phase: "writing", doneBytes: 0, totalBytes: 0 }, 5)).toBe("writing");
  });
});
