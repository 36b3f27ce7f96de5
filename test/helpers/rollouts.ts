/** Rollouts of app:v2 over three machines at two sites, for tests of what people see of them. */
import type { ImageDigest } from "../../src/images/manifest.ts";
import type { MachineProgress, RolloutPlan, RolloutRecord } from "../../src/rollout/rollout-record.ts";

const digestOf = (letter: string): ImageDigest => `sha256:${letter.repeat(64)}`;
const V1 = digestOf("a");
const V2 = digestOf("b");

export const bootIdOf = (machine: number, boot: number) =>
  `0000000${machine}-0000-4000-8000-00000000000${boot}`;

const planned = (number: number, name: string) => ({ machineId: `m-${number}`, name, from: V1 });

export function rolloutPlan(change: Partial<RolloutPlan> = {}): RolloutPlan {
  return {
    hash: "c".repeat(64),
    image: V2,
    imageName: "app:v2",
    strategy: "ab",
    selector: "",
    seed: "s",
    waves: [
      {
        label: "1",
        sites: [
          { siteId: "s-north", name: "store-north", baselineBefore: V1, machines: [planned(1, "till-1")] },
        ],
      },
      {
        label: "100%",
        sites: [
          {
            siteId: "s-south",
            name: "store-south",
            baselineBefore: V1,
            machines: [planned(2, "till-2"), planned(3, "till-3")],
          },
        ],
      },
    ],
    deferred: [{ name: "store-west", reason: "not reachable for 3 h 2 min" }],
    soakSeconds: 60,
    machineTimeoutSeconds: 900,
    ...change,
  };
}

/** Just started: the first wave is open, nothing is granted yet. */
export function rolloutRecord(now: number, change: Partial<RolloutRecord> = {}): RolloutRecord {
  const queued: MachineProgress = { kind: "queued" };
  return {
    id: "r-1",
    plan: rolloutPlan(),
    state: { kind: "running" },
    waves: [{ kind: "open", openedAt: now - 40_000 }, { kind: "pending" }],
    machines: { "m-1": queued, "m-2": queued, "m-3": queued },
    startedBy: "ops",
    createdAt: now - 60_000,
    updatedAt: now,
    revision: 1,
    ...change,
  };
}

export function writing(now: number, share: number): MachineProgress {
  return {
    kind: "updating",
    attempt: 1,
    grantedAt: now,
    deadlineAt: now + 900_000,
    phase: "fetching",
    doneBytes: share * 1000,
    totalBytes: 1000,
    bootIdBefore: bootIdOf(1, 1),
  };
}

export function confirmed(now: number, machine: number): MachineProgress {
  return { kind: "confirmed", attempt: 1, bootId: bootIdOf(machine, 2), at: now };
}

/** The trial of the first machine failed: the wave with it, and all three proven on the image before. */
export function rolledBack(now: number): RolloutRecord {
  const reason = "wave 1 failed: till-1 fell back: app: exit code 7 after 3 s";
  return rolloutRecord(now, {
    id: "r-2",
    state: { kind: "rolled-back", reason, at: now },
    waves: [
      { kind: "failed", reason: "till-1 fell back: app: exit code 7 after 3 s", at: now },
      { kind: "pending" },
    ],
    machines: {
      "m-1": { kind: "returned", image: V1, bootId: bootIdOf(1, 3), at: now },
      "m-2": { kind: "untouched", image: V1, bootId: bootIdOf(2, 1) },
      "m-3": { kind: "untouched", image: V1, bootId: bootIdOf(3, 1) },
    },
    revision: 9,
  });
}
