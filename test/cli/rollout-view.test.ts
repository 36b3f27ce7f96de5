import { expect, test } from "vitest";
import type { Rollout, RolloutPlan, RolloutRequest } from "../../src/api/wire.ts";
import { renderPlan, startCommand } from "../../src/cli/format/plan-view.ts";
import { rolloutChanges } from "../../src/cli/format/rollout-changes.ts";
import { renderRollout } from "../../src/cli/format/rollout-view.ts";
import type { Paint } from "../../src/cli/format/table.ts";
import type { RolloutRecord } from "../../src/rollout/rollout-record.ts";
import { confirmed, rolledBack, rolloutPlan, rolloutRecord, writing } from "../helpers/rollouts.ts";

const NOW = 1_790_000_000_000;
const plain: Paint = (_tone, text) => text;
const nameOf = (digest: string) => (digest.startsWith("sha256:a") ? "app:v1" : "app:v2");
const view = { now: NOW, nameOf, widthColumns: 100, paint: plain };

/** As the hub sends it. */
const wire = (record: RolloutRecord) => JSON.parse(JSON.stringify(record)) as Rollout;

const request: RolloutRequest = {
  image: "v2",
  waves: "1,100%",
  selector: "",
  strategy: "ab",
  soakSeconds: 60,
  machineTimeoutSeconds: 900,
};

test("a plan says what goes where, what is left out and why, and the command that runs exactly it", () => {
  const plan = JSON.parse(JSON.stringify(rolloutPlan())) as RolloutPlan;
  expect(renderPlan(plan, request, nameOf, 100, plain)).toMatchInlineSnapshot(`
    "Image:     app:v2 sha256:bbbbbbbbbbbb
    Strategy:  ab: the other slot, then a trial boot
    Over:      3 machines at 2 sites
    Gate:      1 min of health after each wave; 15 min for one machine
    Plan:      cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc

    WAVE      SITE         MACHINE  FROM → TO
    1 (1)     store-north  till-1   app:v1 → app:v2
    2 (100%)  store-south  till-2   app:v1 → app:v2
    2 (100%)  store-south  till-3   app:v1 → app:v2

    Left out
      store-west: not reachable for 3 h 2 min

    Start exactly this
      drp rollout start --plan cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc --image v2 --wave 1,100% --soak 60s --timeout-per-machine 900s
    "
  `);
});

test("the start command repeats every choice, quoted for a shell", () => {
  const asked = { ...request, selector: "region=eu,tier!=lab", strategy: "reimage" as const, seed: "it's" };
  expect(startCommand(rolloutPlan() as RolloutPlan, asked)).toBe(
    `drp rollout start --plan ${"c".repeat(64)} --image v2 --wave 1,100% --selector 'region=eu,tier!=lab' ` +
      "--strategy reimage --soak 60s --timeout-per-machine 900s --seed 'it'\\''s'",
  );
});

test("a rollout under way shows its waves, how far each machine is, and no proof", () => {
  const rollout = rolloutRecord(NOW, {
    waves: [
      { kind: "passed", at: NOW },
      { kind: "held", reason: "no data from store-south for 2 min", since: NOW },
    ],
    machines: {
      "m-1": confirmed(NOW, 1),
      "m-2": writing(NOW, 0.437),
      "m-3": { kind: "queued" },
    },
  });
  expect(renderRollout(wire(rollout), view)).toMatchInlineSnapshot(`
    "r-1  app:v2  running
    wave 2 is held: no data from store-south for 2 min

    WAVE      STATE   SITES        PROGRESS           DONE  FAILED  QUEUED
    1 (1)     passed  store-north  ████████████ 100%   1/1       0       0
    2 (100%)  held    store-south  ░░░░░░░░░░░░   0%   0/2       0       1

    MACHINE  SITE         FROM    PROGRESS      REASON
    till-1   store-north  app:v1  confirmed     -
    till-2   store-south  app:v1  fetching 43%  -
    till-3   store-south  app:v1  queued        -
    "
  `);
});

test("a rollout that was undone shows why, and the proof of each machine", () => {
  expect(renderRollout(wire(rolledBack(NOW)), view)).toMatchInlineSnapshot(`
    "r-2  app:v2  rolled back: wave 1 failed: till-1 fell back: app: exit code 7 after 3 s

    WAVE      STATE    SITES        PROGRESS           DONE  FAILED  QUEUED
    1 (1)     failed   store-north  ░░░░░░░░░░░░   0%   0/1       0       0
    2 (100%)  pending  store-south  ░░░░░░░░░░░░   0%   0/2       0       0

    MACHINE  SITE         FROM    PROGRESS   REASON
    till-1   store-north  app:v1  returned   -
    till-2   store-south  app:v1  untouched  -
    till-3   store-south  app:v1  untouched  -

    Proof of the rollback: 3 of 3 machines
    MACHINE  RUNS    DIGEST               BOOT ID                               HOW
    till-1   app:v1  sha256:aaaaaaaaaaaa  00000001-0000-4000-8000-000000000003  returned
    till-2   app:v1  sha256:aaaaaaaaaaaa  00000002-0000-4000-8000-000000000001  untouched
    till-3   app:v1  sha256:aaaaaaaaaaaa  00000003-0000-4000-8000-000000000001  untouched
    "
  `);
});

test("an incomplete rollback counts the machines that it cannot prove", () => {
  const { machines, ...rest } = rolledBack(NOW);
  const lost = {
    kind: "returning",
    attempt: 2,
    grantedAt: NOW,
    deadlineAt: NOW,
    bootIdBefore: "",
  } as const;
  const text = renderRollout(
    wire({
      ...rest,
      machines: { ...machines, "m-1": lost },
      state: { kind: "rollback-incomplete", reason: "till-1 is silent", at: NOW },
    }),
    view,
  );
  expect(text).toContain("rollback incomplete: till-1 is silent");
  expect(text).toContain("Proof of the rollback: 2 of 3 machines");
});

test("changes are a line for each step, in the order in which they happen, and none for bytes", () => {
  const steps: RolloutRecord[] = [
    rolloutRecord(NOW),
    rolloutRecord(NOW, { machines: { ...rolloutRecord(NOW).machines, "m-1": writing(NOW, 0.1) } }),
    rolloutRecord(NOW, { machines: { ...rolloutRecord(NOW).machines, "m-1": writing(NOW, 0.9) } }),
    rolloutRecord(NOW, {
      waves: [{ kind: "soaking", until: NOW + 60_000 }, { kind: "pending" }],
      machines: { ...rolloutRecord(NOW).machines, "m-1": confirmed(NOW, 1) },
    }),
    rolledBack(NOW),
  ];
  const lines = steps.flatMap((step, index) => {
    const before = steps[index - 1];
    return rolloutChanges(before === undefined ? undefined : wire(before), wire(step), NOW);
  });
  expect(lines.map(line => line.text).join("\n")).toMatchInlineSnapshot(`
    "r-1 app:v2: running
    wave 1 of 2: open
    store-north/till-1: fetching
    store-north/till-1: confirmed (boot 00000001-0000-4000-8000-000000000002)
    wave 1 of 2: soaking, 1 min left
    store-north/till-1: returned (boot 00000001-0000-4000-8000-000000000003)
    store-south/till-2: untouched (boot 00000002-0000-4000-8000-000000000001)
    store-south/till-3: untouched (boot 00000003-0000-4000-8000-000000000001)
    wave 1 of 2: failed: till-1 fell back: app: exit code 7 after 3 s
    r-2 app:v2: rolled back: wave 1 failed: till-1 fell back: app: exit code 7 after 3 s"
  `);
});
