/** Rollouts of app:v2 over three machines at two sites, for tests of what people see of them. */
import type { MachineRecord } from "../../src/agent/hub/machine-record.ts";
import type { MachineProgress, RolloutPlan, RolloutRecord } from "../../src/rollout/rollout-record.ts";
import type { Store, StoreChange } from "../../src/store/ports.ts";
import { digestOf, imageRecord, machineRecord, macOf, newEvent, siteRecord } from "../store/records.ts";

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

/** Both sites with their machines, healthy on app:v1, and the images. */
export function twoSites(now: number): StoreChange[] {
  const site = (name: string, keyLetter: string): StoreChange => ({
    kind: "insert-site",
    site: siteRecord({
      id: `s-${name}`,
      name: `store-${name}`,
      membership: {
        kind: "joined",
        keyFingerprint: keyLetter.repeat(64),
        joinedAt: now,
        reportsKept: 0,
      },
      lastSeenAt: now,
      createdAt: now,
    }),
  });
  const machine = (number: number, siteId: string): StoreChange => ({
    kind: "insert-machine",
    machine: machineRecord({
      id: `m-${number}`,
      name: `till-${number}`,
      siteId,
      macs: [macOf(number)],
      installGeneration: 1,
      state: { kind: "healthy" },
      running: runningOn(number, now),
      lastSeenAt: now,
      createdAt: now,
    }),
  });
  const image = (letter: string, version: string): StoreChange => ({
    kind: "insert-image",
    image: imageRecord({ digest: digestOf(letter), version, pushedAt: now }),
  });
  return [
    image("a", "v1"),
    image("b", "v2"),
    site("north", "e"),
    site("south", "f"),
    machine(1, "s-north"),
    machine(2, "s-south"),
    machine(3, "s-south"),
  ];
}

export function runningOn(machine: number, now: number): NonNullable<MachineRecord["running"]> {
  return {
    image: V1,
    slot: "a",
    bootId: bootIdOf(machine, 1),
    installGeneration: 1,
    bootCount: 1,
    seq: 1,
    uptimeSeconds: 600,
    agentVersion: "0.1.0",
    health: [{ name: "app", status: "pass", detail: "" }],
    slotConfirmed: true,
    update: null,
    receivedAt: now,
  };
}

/** What the engine does at a step: the rollout one revision further, and an event that says so. */
export async function moveRollout(store: Store, id: string, change: Partial<RolloutRecord>): Promise<void> {
  const before = await store.findRollout(id);
  if (before === undefined) throw new Error(`no rollout ${id}`);
  const rollout = { ...before, ...change, revision: before.revision + 1 };
  await store.commit([
    { kind: "update-rollout", rollout, expectedRevision: before.revision },
    { kind: "append-event", event: newEvent({ kind: "rollout.moved", facts: { rollout: id } }) },
  ]);
}
