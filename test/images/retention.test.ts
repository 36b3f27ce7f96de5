import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FreedBytes } from "../../src/images/freed-bytes.ts";
import { CHUNK_BYTES } from "../../src/images/manifest.ts";
import { decideRetention, type ImageNeeds, type RetentionRule } from "../../src/images/retention.ts";
import { digestOf, imageRecord, NOW } from "../store/records.ts";
import { cut, manifestOf, noise } from "./bundles.ts";

const NOTHING: ImageNeeds = { tags: [], machines: [], sites: [], openRollouts: [], previous: [], denied: [] };
const DAY_MS = 86_400_000;

/** Release 1 is a, 2 is b …, each pushed a day after the one before, the last one now. */
const releases = [..."abcdef"].map((letter, index) =>
  imageRecord({
    digest: digestOf(letter),
    version: `v${index + 1}`,
    release: index + 1,
    pushedAt: NOW - (5 - index) * DAY_MS,
  }),
);

function kept(needs: Partial<ImageNeeds>, rule: Partial<RetentionRule> = {}): string[] {
  const verdicts = decideRetention(
    releases,
    { ...NOTHING, ...needs },
    { keepNewest: 1, keepForMs: 0, ...rule },
    NOW,
  );
  expect(verdicts.map(({ image }) => image)).toEqual(releases);
  return verdicts.map(({ image, keep, reason }) => `${keep ? "keep" : "remove"} ${image.version}: ${reason}`);
}

describe("decideRetention()", () => {
  test("keeps the newest releases and says why each of the others goes", () => {
    expect(kept({}, { keepNewest: 2 })).toEqual([
      "remove v1: 6th newest of app; nothing needs it",
      "remove v2: 5th newest of app; nothing needs it",
      "remove v3: 4th newest of app; nothing needs it",
      "remove v4: 3rd newest of app; nothing needs it",
      "keep v5: 2nd newest of app",
      "keep v6: newest of app",
    ]);
  });

  test("keeps what is younger than asked for", () => {
    expect(kept({}, { keepForMs: 2.5 * DAY_MS }).slice(2)).toEqual([
      "remove v3: 4th newest of app; nothing needs it",
      "keep v4: pushed 2 d ago",
      "keep v5: pushed 1 d ago",
      "keep v6: newest of app",
    ]);
  });

  test("keeps whatever is named or needed, and names who needs it", () => {
    const machine = (name: string, change: object) => ({
      name,
      running: null,
      target: null,
      state: { kind: "healthy" },
      ...change,
    });
    expect(
      kept({
        tags: [{ name: "app", tag: "stable", digest: digestOf("a") }],
        machines: [
          machine("till-1", { running: { image: digestOf("b") } }),
          machine("till-2", {
            running: { image: digestOf("b") },
            state: { kind: "booting", image: digestOf("c") },
          }),
        ],
        sites: [{ id: "s-1", name: "north", baseline: digestOf("d") }],
        previous: [{ siteId: "s-1", digest: digestOf("e"), rolloutId: "r-1" }],
      }).slice(0, 5),
    ).toEqual([
      "keep v1: tag app:stable",
      "keep v2: runs on till-1 and 1 more",
      "keep v3: ordered for till-2",
      "keep v4: baseline of north",
      "keep v5: way back of north",
    ]);
  });

  test("lets an image that a gate has refused take no good one's place", () => {
    expect(kept({ denied: [{ digest: digestOf("f") }] }).slice(4)).toEqual([
      "keep v5: newest of app",
      "remove v6: a gate has refused it; nothing needs it",
    ]);
  });

  test("counts the releases of each name and architecture alone", () => {
    const others = [
      imageRecord({ digest: digestOf("1"), name: "db" }),
      imageRecord({ digest: digestOf("2"), architecture: "arm64" }),
      imageRecord({ digest: digestOf("3") }),
    ];
    const verdicts = decideRetention(others, NOTHING, { keepNewest: 1, keepForMs: 0 }, NOW);
    expect(verdicts.every(({ keep }) => keep)).toBe(true);
  });

  test("removes nothing that anything needs, whatever the fleet and the rule", () => {
    const digest = fc.constantFrom(...releases.map(image => image.digest));
    const maybe = fc.option(digest, { nil: null });
    const running = fc.option(fc.record({ image: digest }), { nil: null });
    const state = fc.oneof(
      fc.record({ kind: fc.constant("healthy") }),
      fc.record({ kind: fc.constant("booting"), image: digest }),
      fc.record({ kind: fc.constant("assigned"), intent: fc.record({ image: digest }) }),
    );
    const needs = fc.record({
      tags: fc.array(fc.record({ name: fc.constant("app"), tag: fc.constant("t"), digest }), {
        maxLength: 2,
      }),
      machines: fc.array(fc.record({ name: fc.constant("m"), running, target: running, state }), {
        maxLength: 3,
      }),
      sites: fc.array(fc.record({ id: fc.constant("s"), name: fc.constant("s"), baseline: maybe }), {
        maxLength: 2,
      }),
      openRollouts: fc.array(
        fc.record({
          id: fc.constant("r"),
          plan: fc.record({
            image: digest,
            waves: fc.array(
              fc.record({
                sites: fc.array(
                  fc.record({
                    baselineBefore: maybe,
                    machines: fc.array(fc.record({ from: digest }), { maxLength: 2 }),
                  }),
                  { maxLength: 2 },
                ),
              }),
              { maxLength: 2 },
            ),
          }),
        }),
        { maxLength: 1 },
      ),
      previous: fc.array(fc.record({ siteId: fc.constant("s"), digest, rolloutId: fc.constant("r") }), {
        maxLength: 1,
      }),
      denied: fc.array(fc.record({ digest }), { maxLength: 2 }),
    });
    const rule = fc.record({ keepNewest: fc.nat(3), keepForMs: fc.constantFrom(0, 2 * DAY_MS) });
    fc.assert(
      fc.property(needs, rule, (fleet, limits) => {
        // What is denied is no need; every other digest anywhere in the fleet is one.
        const { denied, ...needing } = fleet;
        const text = JSON.stringify(needing);
        for (const { image, keep } of decideRetention(releases, { ...needing, denied }, limits, NOW)) {
          if (text.includes(image.digest)) expect(keep).toBe(true);
          else if (limits.keepNewest === 0 && limits.keepForMs === 0) expect(keep).toBe(false);
        }
      }),
    );
  });
});

test("FreedBytes counts a chunk once, and not where an image has it that stays", () => {
  const image = (...seeds: number[]) =>
    manifestOf(Buffer.concat(seeds.map(seed => noise(CHUNK_BYTES, seed))));
  expect(cut(noise(CHUNK_BYTES, 1))).toHaveLength(1);
  const freed = new FreedBytes();
  freed.addRemoved(image(1, 2, 1));
  freed.addRemoved(image(2, 3));
  expect(freed.total).toBe(3 * CHUNK_BYTES);
  freed.subtractKept(image(3, 4));
  expect(freed.total).toBe(2 * CHUNK_BYTES);
});
