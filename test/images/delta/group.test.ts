import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError } from "../../../src/core/errors.ts";
import { applyDelta } from "../../../src/images/delta/apply.ts";
import { BLOCKS_PER_GROUP } from "../../../src/images/delta/geometry.ts";
import { decodeGroup, encodeGroup, LITERAL, MAX_GROUP_BYTES, ZERO } from "../../../src/images/delta/group.ts";
import { decodeDeltaHeader, encodeDeltaHeader } from "../../../src/images/delta/header.ts";
import { writeVarint } from "../../../src/images/delta/varint.ts";
import { deltaCodec } from "../../../src/images/io/delta-codec.ts";
import { noise, streamOf } from "../bundles.ts";
import { FROM, readerOf, TO } from "./delta-images.ts";

const OLD_BLOCKS = 1000;

/** A group of these numbers, decoded as one of four blocks at offset 500. */
function decodeNumbers(...numbers: readonly number[]) {
  const bytes: number[] = [];
  for (const number of numbers) writeVarint(bytes, number);
  return () => decodeGroup(Buffer.from(bytes), 4, OLD_BLOCKS, 500);
}

const run = (count: number, kind: "zero" | "copy" | "literal" | "unknown") =>
  count * 4 + ["zero", "copy", "literal", "unknown"].indexOf(kind);

describe("decodeGroup()", () => {
  test("gives back any plan", () => {
    const source = fc.oneof(fc.constant(ZERO), fc.constant(LITERAL), fc.nat(OLD_BLOCKS - 1));
    const sources = fc.array(source, { minLength: 1, maxLength: BLOCKS_PER_GROUP, size: "max" });
    fc.assert(
      fc.property(sources, sources => {
        const literals = sources.includes(LITERAL);
        const dictionary = literals
          ? [
              { first: 3, count: 16 },
              { first: 990, count: 10 },
            ]
          : [];
        const frame = Buffer.from(literals ? "frame" : "");
        const group = decodeGroup(encodeGroup({ sources, dictionary }, frame), sources.length, OLD_BLOCKS, 0);
        expect([group.sources, group.dictionary]).toEqual([sources, dictionary]);
        expect(Buffer.from(group.frame).equals(frame)).toBe(true);
      }),
    );
  });

  test.each([
    ["a run of no blocks", decodeNumbers(run(0, "zero")), "a run of 0 blocks where 4 are left at offset 501"],
    ["a run beyond the group", decodeNumbers(run(5, "literal")), "a run of 5 blocks where 4 are left"],
    ["a run of an unknown kind", decodeNumbers(run(4, "unknown")), "a run of kind 3"],
    [
      "a copy from beyond the old image",
      decodeNumbers(run(4, "copy"), 997 * 2),
      "a copy of 4 blocks from 997",
    ],
    ["a copy from before it", decodeNumbers(run(4, "copy"), 1), "a copy of 4 blocks from -1"],
    ["a group that is cut", decodeNumbers(run(1, "zero")), "a run that is cut off at offset 501"],
    [
      "bytes behind what needs none",
      decodeNumbers(run(4, "zero"), 1),
      "bytes after a group without literals",
    ],
    [
      "a dictionary beyond the old image",
      decodeNumbers(run(4, "literal"), 1, 996, 5),
      "a dictionary range of 5 blocks",
    ],
    [
      "an empty dictionary range",
      decodeNumbers(run(4, "literal"), 1, 0, 0),
      "a dictionary range of 0 blocks",
    ],
    ["a dictionary of more than 2 MiB", decodeNumbers(run(4, "literal"), 1, 0, 513), "more than 512 blocks"],
    ["ranges without end", decodeNumbers(run(4, "literal"), 2 ** 27, 0, 1), "that is cut off"],
  ])("refuses %s", (_what, decode, message) => {
    expect(decode).toThrow(DecodeError);
    expect(decode).toThrow(message);
  });

  test("refuses a number without end", () => {
    expect(() => decodeGroup(Buffer.alloc(9, 0xff), 4, OLD_BLOCKS, 0)).toThrow("more than 4 bytes");
  });
});

describe("a hostile delta", () => {
  const old = readerOf(noise(8 * 4096, 1));
  const wanted = readerOf(noise(4 * 4096, 2));
  const binding = { from: FROM, to: TO, payload: wanted.payload };

  test("cannot ask for memory by the length of a group", () => {
    const header = encodeDeltaHeader(binding, [0xffffffff]);
    expect(() => decodeDeltaHeader(header, binding)).toThrow(`at most ${MAX_GROUP_BYTES} are possible`);
  });

  test("cannot ask for memory by literals that decompress to more than their blocks", async () => {
    // With a window that a group's frame may have, and without its size: only what comes out gives it away.
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024), {
      params: { [constants.ZSTD_c_windowLog]: 20, [constants.ZSTD_c_contentSizeFlag]: 0 },
    });
    const group = encodeGroup({ sources: new Array(4).fill(LITERAL), dictionary: [] }, bomb);
    const groups = decodeDeltaHeader(encodeDeltaHeader(binding, [group.length]), binding);
    const chunks = applyDelta({ from: old, to: wanted.payload, groups, codec: deltaCodec }, streamOf(group));
    await expect(chunks.next()).rejects.toThrow(/literals of the group at offset 76 do not decompress/);
  });
});
