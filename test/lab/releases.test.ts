import { beforeAll, describe, expect, test } from "vitest";
import { runLab } from "./lab-process.ts";
import { missingForLab } from "./missing-for-lab.ts";
import type { Releases } from "./releases.ts";

const missing = missingForLab();
if (missing !== undefined) console.log(`lab skipped: ${missing}`);

/** The bar for the whole of it, on two cores. */
const WHOLE_LAB_MS = 8 * 60_000;

describe.skipIf(missing !== undefined)("two sites, three machines, a good and a bad release", () => {
  let releases: Releases;
  let durationMs: number;

  beforeAll(async () => {
    const startedAt = Date.now();
    releases = await runLab();
    durationMs = Date.now() - startedAt;
  }, 15 * 60_000);

  const states = (machines: Releases["afterInstall"]) =>
    machines.map(({ name, image, state }) => `${name} ${image} ${state}`);

  test("three empty machines install v1 by themselves", () => {
    expect(states(releases.afterInstall)).toEqual([
      "north-1 app:v1 healthy",
      "south-1 app:v1 healthy",
      "south-2 app:v1 healthy",
    ]);
  });

  test("v2 reaches every machine although hub, site agent and machine were killed on the way", () => {
    expect(states(releases.afterGoodRelease)).toEqual([
      "north-1 app:v2 healthy",
      "south-1 app:v2 healthy",
      "south-2 app:v2 healthy",
    ]);
  });

  test("v3 is undone by itself: every machine runs v2, with proof, and only the canary ever booted v3", () => {
    expect(states(releases.afterBadRelease)).toEqual([
      "north-1 app:v2 healthy",
      "south-1 app:v2 healthy",
      "south-2 app:v2 healthy",
    ]);
    expect(releases.badRelease.state.kind).toBe("rolled-back");
    const kinds = Object.values(releases.badRelease.machines).map(({ kind }) => kind);
    const canaries = releases.badRelease.plan.waves[0]?.sites.flatMap(site => site.machines).length ?? 0;
    expect(kinds.filter(kind => kind === "returned").length).toBeLessThanOrEqual(canaries);
    expect(kinds.every(kind => kind === "returned" || kind === "untouched")).toBe(true);
  });

  test("a machine that never saw v3 was not even rebooted", () => {
    const bootIds = new Map(releases.afterGoodRelease.map(({ name, bootId }) => [name, bootId]));
    const rebooted = releases.afterBadRelease.filter(({ name, bootId }) => bootIds.get(name) !== bootId);
    expect(rebooted.length).toBe(1);
  });

  test("v3 is refused from then on, and drp why says so", () => {
    expect(releases.refusal).toContain("v3");
    expect(releases.refusal).not.toContain("accepted");
    expect(releases.why).toMatch(/denied/i);
  });

  test("one machine is brought back to v1 by a whole install over the network", () => {
    expect(states(releases.afterReimage).filter(line => line.includes("app:v1"))).toHaveLength(1);
  });

  test("the whole lab takes at most 8 minutes", () => {
    expect(durationMs).toBeLessThanOrEqual(WHOLE_LAB_MS);
  });
});
