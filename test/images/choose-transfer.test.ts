import fc from "fast-check";
import { expect, test } from "vitest";
import {
  chooseTransfer,
  keepsWaiting,
  type ReadyDelta,
  rankBases,
} from "../../src/images/choose-transfer.ts";
import { decodeChunkBitmap, encodeChunkBitmap } from "../../src/images/chunk-bitmap.ts";
import { digestOf } from "../store/records.ts";

const MIB = 1024 * 1024;
const delta = (sizeBytes: number, changes: Partial<ReadyDelta> = {}): ReadyDelta => ({
  from: digestOf("a"),
  fromName: "shop:v1",
  sizeBytes,
  sha256: "0".repeat(64),
  neededBytes: sizeBytes,
  ...changes,
});

test("the smaller one wins, and the reason has both figures", () => {
  expect(chooseTransfer(58 * MIB, [delta(11 * MIB)], [])).toMatchObject({
    kind: "delta",
    reason: "delta from shop:v1: 11.0 MiB, whole: 58.0 MiB of chunks that the site lacks",
  });
  expect(chooseTransfer(8 * MIB, [delta(11 * MIB)], [])).toMatchObject({
    kind: "whole",
    reason: "whole: 8.0 MiB of chunks that the site lacks, delta from shop:v1: 11.0 MiB",
  });
});

test("what is here of a delta from before a cut has not to come again", () => {
  const choice = chooseTransfer(8 * MIB, [delta(11 * MIB, { neededBytes: 2 * MIB })], []);
  expect(choice).toMatchObject({
    kind: "delta",
    reason:
      "delta from shop:v1: 2.0 MiB of 11.0 MiB still to come, whole: 8.0 MiB of chunks that the site lacks",
  });
});

test("without a delta the reason is why there is none", () => {
  expect(chooseTransfer(MIB, [], []).reason).toContain("the site holds no image to build on");
  expect(
    chooseTransfer(MIB, [], [{ fromName: "shop:v1", because: "squashfs moves everything" }]).reason,
  ).toBe("whole: 1.0 MiB of chunks that the site lacks; no delta from shop:v1: squashfs moves everything");
});

test("a delta builds on an image of the same name that shares the most chunks, then on the newest", () => {
  const chunk = (letter: string) => letter.repeat(64);
  const image = (label: string, name: string, release: number, letters: string) => ({
    digest: digestOf(letters[0] ?? "0"),
    name,
    label,
    release,
    chunks: [...letters].map(chunk),
  });
  const target = image("shop:v9", "shop", 9, "abcd");
  const held = [
    image("till:v1", "till", 1, "abcd"),
    image("shop:v3", "shop", 3, "ef"),
    image("shop:v1", "shop", 1, "ab"),
    image("shop:v4", "shop", 4, "eff"),
  ];
  expect(rankBases(target, held).map(({ label }) => label)).toEqual(["shop:v1", "shop:v4"]);
});

test("an install waits a minute for a delta, an update three", () => {
  expect([59_000, 61_000].map(waited => keepsWaiting(waited, true))).toEqual([true, false]);
  expect([61_000, 179_000, 181_000].map(waited => keepsWaiting(waited, false))).toEqual([true, true, false]);
});

test("a bitmap tells exactly the chunks that were meant, and what is no bit of it nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), bits => {
      const chunks = bits.map((_, index) => index.toString(16).padStart(64, "0"));
      const meant = chunks.filter((_, index) => bits[index]);
      const text = encodeChunkBitmap(chunks, chunk => meant.includes(chunk));
      expect(decodeChunkBitmap(chunks, text)).toEqual(meant);
      expect(decodeChunkBitmap(chunks, "")).toEqual([]);
    }),
  );
});
