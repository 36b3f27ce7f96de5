import { describe, expect, test } from "vitest";
import { createRollout } from "../../src/rollout/create-rollout.ts";
import { type Fleet, type PlanRequest, planRollout } from "../../src/rollout/plan.ts";
import { parseSelector } from "../../src/rollout/selector.ts";
import {
  fleetWith,
  imageWith,
  machineIn,
  planOf,
  requestWith,
  runningWith,
  siteWith,
  V1,
  V2,
} from "./helpers/fleet.ts";

const GIB = 1024 ** 3;
const FLEET = fleetWith();
const OPEN = createRollout(planOf(requestWith(), FLEET), { id: "r-9", startedBy: "ops", now: 0 }).rollout;

const refusals: readonly [string, Partial<PlanRequest>, Partial<Fleet>, string, string][] = [
  ["an unknown image", { image: "v9" }, { image: undefined }, "image.unknown", "no image is called v9"],
  [
    "an image that a gate has denied",
    {},
    { deniedImages: [{ digest: V2, reason: "b1 fell back", rolloutId: "r-3" }] },
    "rollout.refused",
    "app:v2 is denied in the whole fleet since rollout r-3: b1 fell back",
  ],
  [
    "a selector that matches nothing",
    { selector: "region=mars" },
    {},
    "rollout.refused",
    'the selector "region=mars" matches none of 2 sites (berlin, rome)',
  ],
  [
    "a selector that cannot be read",
    { selector: "site=rome,region~eu" },
    {},
    "request.invalid",
    'the selector "site=rome,region~eu" cannot be read at position 11: "region~eu" is neither KEY=VALUE nor KEY!=VALUE',
  ],
  [
    "waves that do not reach every site",
    { waves: "1,50%" },
    {},
    "rollout.refused",
    'the waves "1,50%" reach 1 of 2 sites, and never all of them',
  ],
  [
    "a second rollout over the same sites",
    { selector: "site=rome" },
    { openRollouts: [OPEN] },
    "rollout.conflict",
    "rollout r-9 (app:v2) is running over rome",
  ],
  [
    "an image whose key was rotated out",
    {},
    { standing: { signatureRefusal: "key ci (1f2e), which was rotated out by key list 4", floor: null } },
    "signature.rejected",
    "app:v2 is signed by key ci (1f2e), which was rotated out by key list 4",
  ],
  [
    "an image below the floor",
    {},
    {
      standing: {
        signatureRefusal: null,
        floor: { release: 5, reason: "rollout r-4 of app:v5 is done", recorded: new Set([V1]) },
      },
    },
    "image.downgrade",
    "app:v2 is release 2, and the floor of app is release 5: rollout r-4 of app:v5 is done",
  ],
  [
    "machines that run a release too old for the image",
    {},
    { image: imageWith({ release: 9, minimumRelease: 5 }) },
    "image.release-gap",
    "app:v2 replaces only release 5 of app or a newer one, and app:v1 is release 1 on b1; that stops 3 machines: b1, b2, r1",
  ],
  [
    "an image of another name that has a minimum",
    { selector: "site=rome" },
    { image: imageWith({ name: "edge", minimumRelease: 1 }) },
    "image.release-gap",
    "edge:v2 replaces only release 1 of edge or a newer one, and app:v1 runs on r1; that stops 1 machine: r1",
  ],
  [
    "an image that fits no slot",
    {},
    { image: imageWith({ sizeBytes: GIB }) },
    "disk.too-small",
    "app:v2 has 1.0 GiB and does not fit a slot of b1: /dev/vda (2.0 GiB) has two of 512 MiB, made for app:v1 (256 MiB)",
  ],
  [
    "an image that fits no disk",
    { strategy: "reimage" },
    { image: imageWith({ sizeBytes: GIB }) },
    "disk.too-small",
    "app:v2 has 1.0 GiB and does not fit b1: the image of 1.0 GiB needs a disk of at least 2.1 GiB (two slots, loader and data); /dev/vda has 2.0 GiB",
  ],
  [
    "a site that never joined",
    {},
    { sites: [siteWith("berlin"), siteWith("rome", { membership: { kind: "invited" } })] },
    "site.not-joined",
    "site rome has never joined: nothing can reach its machines",
  ],
  [
    "a fleet whose old image is gone",
    {},
    { images: new Map([[V2, imageWith()]]) },
    "rollout.refused",
    "b1 runs sha256:111111111111, which the registry no longer holds: there would be no image to go back to",
  ],
  [
    "another architecture",
    {},
    { image: imageWith({ architecture: "arm64" }) },
    "image.wrong-architecture",
    "app:v2 is built for arm64, b1 is amd64",
  ],
  [
    "a fleet that runs it already",
    {},
    {
      machines: [machineIn("rome", "r1", { running: runningWith({ image: V2 }) })],
      sites: [siteWith("rome")],
    },
    "rollout.refused",
    "every machine of the 1 selected sites runs app:v2 already",
  ],
  [
    "a machine alone that was never installed",
    { machine: "r1" },
    { machines: [machineIn("rome", "r1", { state: { kind: "discovered" }, running: null })] },
    "rollout.refused",
    "no selected machine can be given app:v2: r1 was never installed; order it with: drp machines install r1",
  ],
  ["an unknown machine", { machine: "x9" }, {}, "machine.unknown", "no machine has the id or name x9"],
];

describe("planRollout()", () => {
  test.each(refusals)("refuses %s", (_, request, fleet, code, reason) => {
    const outcome = planRollout(requestWith(request), fleetWith(fleet));
    expect(outcome).toMatchObject({
      kind: "refused",
      code,
      reason,
      advice: expect.stringMatching(/\.|drp|--/),
    });
  });

  test("refuses to run another plan than the one that was looked at", () => {
    const { hash } = planOf(requestWith(), FLEET);
    expect(planRollout(requestWith({ planHash: hash }), FLEET).kind).toBe("planned");
    const later = fleetWith({ machines: FLEET.machines.slice(1) });
    expect(planRollout(requestWith({ planHash: hash }), later)).toMatchObject({ code: "rollout.refused" });
  });

  test.each<[string, Partial<PlanRequest>, Partial<Fleet>]>([
    [
      "goes back below the floor to what the rollout that raised it has recorded",
      {},
      {
        standing: {
          signatureRefusal: null,
          floor: { release: 5, reason: "rollout r-4 is done", recorded: new Set([V2]) },
        },
      },
    ],
    [
      "brings the last machines of a site to its baseline, below the floor or not",
      {},
      {
        sites: [siteWith("berlin", { baseline: V2 })],
        standing: {
          signatureRefusal: null,
          floor: { release: 5, reason: "rollout r-4 is done", recorded: new Set() },
        },
      },
    ],
    [
      "lets a reimage skip releases: it makes the data partition anew",
      { strategy: "reimage" },
      { image: imageWith({ release: 9, minimumRelease: 5 }) },
    ],
  ])("%s", (_name, request, fleet) => {
    expect(planRollout(requestWith(request), fleetWith(fleet))).toMatchObject({ kind: "planned" });
  });

  test("makes the same plan of the same fleet, in whatever order the fleet is given", () => {
    const shuffled = fleetWith({ sites: FLEET.sites.toReversed(), machines: FLEET.machines.toReversed() });
    expect(planOf(requestWith(), shuffled)).toEqual(planOf(requestWith(), FLEET));
  });

  test("draws other canaries with another seed", () => {
    const sites = Array.from({ length: 50 }, (_, index) => siteWith(`site-${index}`));
    const machines = sites.map(site => machineIn(site.name, `m-${site.name}`));
    const canaryOf = (seed: string) =>
      planOf(requestWith({ seed }), fleetWith({ sites, machines })).waves[0]?.sites[0]?.name;
    expect(new Set(Array.from({ length: 20 }, (_, seed) => canaryOf(String(seed)))).size).toBeGreaterThan(5);
  });

  test("leaves machines out that cannot take part, and says why of each", () => {
    const machines = [
      ...FLEET.machines,
      machineIn("rome", "r2", { state: { kind: "expected" }, running: null }),
      machineIn("rome", "r3", { denied: [{ image: V2, reason: "fell back" }] }),
      machineIn("rome", "r4", { state: { kind: "quarantined", reason: "two of them" } }),
    ];
    expect(planOf(requestWith(), fleetWith({ machines })).deferred).toEqual([
      { name: "r2", reason: "was never installed; order it with: drp machines install r2" },
      { name: "r3", reason: "app:v2 is denied on it: fell back" },
      { name: "r4", reason: "quarantined: two of them" },
    ]);
  });
});

describe("parseSelector()", () => {
  const eu = siteWith("rome", { labels: { region: "eu", tier: "shop" } });
  test.each([
    ["", true],
    ["region=eu", true],
    ["region=eu, tier!=lab", true],
    ["region=us", false],
    ["rack!=7", true],
    ["site=rome", true],
    ["site!=rome", false],
  ])("%j matches Rome: %s", (text, expected) => {
    const selector = parseSelector(text);
    expect(selector.kind === "selector" && selector.matches(eu)).toBe(expected);
  });
});
