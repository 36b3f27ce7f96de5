import fc from "fast-check";
import { expect, test } from "vitest";
import { type HistoryImage, planHistory } from "../../src/images/plan-history.ts";

const digestOf = (release: number): string => `sha256:${release.toString(16).padStart(64, "0")}`;

function imageOf(release: number, keepWhole = false, name = "app"): HistoryImage {
  return { digest: digestOf(release), name, architecture: "amd64", release, keepWhole };
}

test("an old image becomes a delta over the nearest one that is whole anyway", () => {
  const images = [imageOf(1), imageOf(2, true), imageOf(3), imageOf(4), imageOf(9, true)];
  expect(planHistory(images, new Map())).toEqual(
    [1, 3, 4].map(release => ({ kind: "encode", image: digestOf(release), base: digestOf(2) })),
  );
});

test("a delta whose base stays whole is left alone, though another one came nearer", () => {
  const images = [imageOf(1), imageOf(2, true), imageOf(3, true)];
  expect(planHistory(images, new Map([[digestOf(1), digestOf(3)]]))).toEqual([]);
});

test("names and architectures share nothing", () => {
  const other = { ...imageOf(3, true), architecture: "arm64" };
  expect(planHistory([imageOf(1), imageOf(2, true, "base"), other], new Map())).toEqual([]);
});

test("dependants leave a base before it becomes a delta; what is needed again comes first", () => {
  const images = [imageOf(1), imageOf(2), imageOf(3, true), imageOf(4, true)];
  const deltas = new Map([
    [digestOf(1), digestOf(2)],
    [digestOf(3), digestOf(2)],
  ]);
  expect(planHistory(images, deltas)).toEqual([
    { kind: "restore", image: digestOf(3) },
    { kind: "encode", image: digestOf(1), base: digestOf(3) },
    { kind: "encode", image: digestOf(2), base: digestOf(3) },
  ]);
});

test("done in order, a plan leaves each delta over an image that is whole, and nothing more to do", () => {
  const fleet = fc.array(fc.record({ keepWhole: fc.boolean(), baseAt: fc.nat(11) }), { maxLength: 12 });
  fc.assert(
    fc.property(fleet, wanted => {
      const images = wanted.map(({ keepWhole }, index) => imageOf(index + 1, keepWhole));
      // A state of before: bases are whole in it.
      const deltas = new Map<string, string>();
      for (const [index, { baseAt }] of wanted.entries()) {
        const [image, base] = [images[index], images[baseAt]];
        if (image === undefined || base === undefined || index % 2 === baseAt % 2 || index % 2 === 0)
          continue;
        deltas.set(image.digest, base.digest);
      }
      for (const step of planHistory(images, deltas)) {
        if (step.kind === "restore") deltas.delete(step.image);
        else {
          expect(deltas.has(step.base)).toBe(false);
          expect([...deltas.values()]).not.toContain(step.image);
          deltas.set(step.image, step.base);
        }
      }
      expect(planHistory(images, deltas)).toEqual([]);
    }),
  );
});
