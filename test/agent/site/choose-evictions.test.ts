import { expect, test } from "vitest";
import { type CachedImage, chooseEvictions } from "../../../src/agent/site/choose-evictions.ts";
import { digestOf } from "../../store/records.ts";

const image = (letter: string, neededAt: number, chunks: string[]): CachedImage => ({
  digest: digestOf(letter),
  neededAt,
  chunks,
});
const old = image("a", 1, ["x", "shared"]);
const newer = image("b", 2, ["y", "shared"]);
const newest = image("c", 3, ["z"]);
const choose = (free: number, keep: string[] = []) =>
  chooseEvictions([newest, old, newer], new Set(keep.map(digestOf)), () => 10, free).map(digest =>
    digest.at(-1),
  );

test("the image that was needed last the longest ago goes first, and no more than is asked for", () => {
  expect(choose(0)).toEqual([]);
  expect(choose(10)).toEqual(["a"]);
});

test("a chunk is free when the last image that names it goes", () => {
  expect(choose(20)).toEqual(["a", "b"]);
  expect(choose(30)).toEqual(["a", "b"]);
  expect(choose(31)).toEqual(["a", "b", "c"]);
});

test("what is kept never goes, however little room there is", () => {
  expect(choose(1000, ["a", "c"])).toEqual(["b"]);
  expect(choose(1000, ["a", "b", "c"])).toEqual([]);
});
