import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { applySiteReport } from "../../src/agent/hub/apply-report.ts";
import { openIntent } from "../../src/agent/hub/machine-record.ts";
import type { Heartbeat } from "../../src/agent/protocol.ts";
import { startReconciler } from "../../src/rollout/io/reconciler.ts";
import { startRollout } from "../../src/rollout/io/start-rollout.ts";
import { orderRollback } from "../../src/rollout/operator.ts";
import type { PlanRequest } from "../../src/rollout/plan.ts";
import { isEnded, type RolloutRecord } from "../../src/rollout/rollout-record.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import type { Store } from "../../src/store/ports.ts";
import { heartbeatWith, inventoryWith } from "../helpers/machines.ts";
import { digestOf, imageRecord, machineRecord, macOf, siteRecord } from "../store/records.ts";
import { requestWith } from "./helpers/fleet.ts";

const V1 = digestOf("1");
const V2 = digestOf("2");
const deps = {
  clock: Date.now,
  randomBytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)),
};

/** A hub's store with one site of two machines that run v1, and the engine at work on it. */
async function openHub() {
  const folder = mkdtempSync(join(tmpdir(), "drp-reconciler-"));
  const store = await openSqliteStore({ file: join(folder, "drp.db") });
  const errors: unknown[] = [];
  const start = () => startReconciler({ store, ...deps, onError: error => errors.push(error) });
  await store.commit([
    { kind: "insert-image", image: imageRecord({ digest: V1, version: "v1" }) },
    { kind: "insert-image", image: imageRecord({ digest: V2, version: "v2", release: 2 }) },
    { kind: "insert-site", site: siteRecord() },
    ...[1, 2].map(
      number =>
        ({
          kind: "insert-machine",
          machine: machineRecord({
            id: `m-${number}`,
            name: `node-${number}`,
            macs: [macOf(number)],
            inventory: inventoryWith(),
            installGeneration: 1,
          }),
        }) as const,
    ),
  ]);
  for (const id of ["m-1", "m-2"]) await beat(store, id, { image: V1 });
  let reconciler = start();
  return {
    store,
    errors,
    /** As after kill -9: a new engine that knows nothing but the store. */
    restart: async () => {
      await reconciler.stop();
      reconciler = start();
    },
    async [Symbol.asyncDispose]() {
      await reconciler.stop();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One heartbeat by the hub's own rules; the engine may commit at the same time. */
async function beat(store: Store, id: string, change: Partial<Heartbeat>): Promise<void> {
  for (;;) {
    const machine = await store.findMachine(id);
    if (machine === undefined) throw new Error(`no machine ${id}`);
    const { bootCount = 1, seq = 0 } = machine.running ?? {};
    const heartbeat = heartbeatWith({ bootCount, seq: seq + 1, bootId: bootIdOf(bootCount), ...change });
    const applied = applySiteReport(
      machine,
      { kind: "heartbeat", at: Date.now(), machineId: id, heartbeat },
      machine.siteId,
    );
    if (applied.machine === undefined) throw new Error("a stale heartbeat");
    const outcome = await store.commit([
      { kind: "update-machine", machine: applied.machine, expectedRevision: machine.revision },
    ]);
    if (outcome.kind === "committed") return;
  }
}

function bootIdOf(bootCount: number): string {
  return `${String(bootCount).padStart(8, "0")}-0000-4000-8000-000000000000`;
}

async function boot(store: Store, id: string, image: string, change: Partial<Heartbeat> = {}): Promise<void> {
  const bootCount = ((await store.findMachine(id))?.running?.bootCount ?? 0) + 1;
  await beat(store, id, { image, bootCount, seq: 1, bootId: bootIdOf(bootCount), ...change });
}

/** Resolves at the first commit after which it holds. */
async function until<T>(store: Store, ask: () => Promise<T | undefined | false | null>): Promise<T> {
  const changed = new EventTarget();
  const stop = store.onCommitted(() => changed.dispatchEvent(new Event("commit")));
  try {
    for (;;) {
      const next = once(changed, "commit");
      const answer = await ask();
      if (answer) return answer;
      await next;
    }
  } finally {
    stop();
  }
}

const targetOf = (store: Store, id: string) =>
  until(store, async () => (await store.findMachine(id))?.target);

const endOf = (store: Store, id: string) =>
  until(store, async () => {
    const rollout = await store.findRollout(id);
    return rollout !== undefined && isEnded(rollout.state) && rollout;
  });

async function begin(store: Store, change: Partial<PlanRequest> = {}): Promise<RolloutRecord> {
  const request = requestWith({ image: "app:v2", waves: "100%", soakSeconds: 0, ...change });
  const outcome = await startRollout({ store, ...deps }, request, "ops");
  if (outcome.kind === "refused") throw new Error(outcome.reason);
  return outcome.rollout;
}

async function rollBack(store: Store, id: string): Promise<void> {
  for (;;) {
    const rollout = await store.findRollout(id);
    const outcome = rollout && orderRollback(rollout, "ops", Date.now());
    if (outcome?.kind !== "changed") throw new Error("no rollback");
    const committed = await store.commit([
      { kind: "update-rollout", rollout: outcome.rollout, expectedRevision: outcome.rollout.revision - 1 },
    ]);
    if (committed.kind === "committed") return;
  }
}

test("a rollout is driven through the store, also by an engine that was started in the middle", async () => {
  await using hub = await openHub();
  const { store } = hub;
  const { id } = await begin(store);
  expect(await targetOf(store, "m-1")).toMatchObject({ rolloutId: id, attempt: 1, image: V2, may: "reboot" });
  expect((await store.findMachine("m-2"))?.target).toBeNull();
  await hub.restart();
  await boot(store, "m-1", V2);
  await targetOf(store, "m-2");
  await hub.restart();
  await boot(store, "m-2", V2);
  expect((await endOf(store, id)).state.kind).toBe("done");
  expect((await store.findSite("local"))?.baseline).toBe(V2);
  expect((await store.findMachine("m-2"))?.target).toBeNull();
  const kinds = (await store.listEvents({ limit: 100, from: "oldest" })).map(event => event.kind);
  expect(kinds).toEqual([
    "rollout.started",
    "wave.open",
    "update.granted",
    "update.confirmed",
    "update.granted",
    "update.confirmed",
    "wave.soaking",
    "wave.passed",
    "rollout.done",
  ]);
  expect(hub.errors).toEqual([]);
});

test("a rollout that is done raises the floor; what it has recorded may be gone back to, nothing older", async () => {
  await using hub = await openHub();
  const { store } = hub;
  const { id } = await begin(store);
  for (const machine of ["m-1", "m-2"]) {
    await targetOf(store, machine);
    await boot(store, machine, V2);
  }
  await endOf(store, id);
  const reason = `rollout ${id} of app:v2 is done`;
  expect(await store.listReleaseFloors()).toMatchObject([
    { imageName: "app", release: 2, rolloutId: id, reason, setBy: `rollout ${id}` },
  ]);
  await store.commit([
    { kind: "insert-image", image: imageRecord({ digest: digestOf("9"), version: "v1-other", release: 1 }) },
  ]);
  await expect(begin(store, { image: "app:v1-other" })).rejects.toThrow(
    `app:v1-other is release 1, and the floor of app is release 2: ${reason}`,
  );
  expect(await begin(store, { image: "app:v1" })).toMatchObject({ plan: { image: V1 } });
  expect(hub.errors).toEqual([]);
});

test("a rollout of one machine raises no floor", async () => {
  await using hub = await openHub();
  const { store } = hub;
  const { id } = await begin(store, { machine: "node-1" });
  await targetOf(store, "m-1");
  await boot(store, "m-1", V2);
  expect((await endOf(store, id)).state.kind).toBe("done");
  expect(await store.listReleaseFloors()).toEqual([]);
});

test("a machine that falls back is denied the image, and so is the fleet", async () => {
  await using hub = await openHub();
  const { store } = hub;
  const { id } = await begin(store);
  const { attempt } = await targetOf(store, "m-1");
  const update = { rolloutId: id, attempt, image: V2, doneBytes: 0, totalBytes: 0 };
  await boot(store, "m-1", V1, { update: { ...update, phase: "fell-back", reason: "app: exit code 1" } });
  const { state, machines } = await endOf(store, id);
  expect(state.kind).toBe("rolled-back");
  expect(machines["m-1"]).toMatchObject({ kind: "returned", image: V1, bootId: bootIdOf(2) });
  expect((await store.findMachine("m-1"))?.denied).toMatchObject([{ image: V2, reason: "app: exit code 1" }]);
  expect(await store.listDeniedImages()).toMatchObject([{ digest: V2, rolloutId: id }]);
  await expect(begin(store)).rejects.toThrow("app:v2 is denied in the whole fleet");
  expect(hub.errors).toEqual([]);
});

test("a machine that is called back before its reinstall began keeps its disk", async () => {
  await using hub = await openHub();
  const { store } = hub;
  const { id } = await begin(store, { strategy: "reimage", machine: "node-2" });
  await targetOf(store, "m-2");
  await rollBack(store, id);
  const { attempt, image } = await until(store, async () => {
    const target = (await store.findMachine("m-2"))?.target;
    return target?.image === V1 && target;
  });
  const update = {
    rolloutId: id,
    attempt,
    image,
    phase: "confirmed",
    doneBytes: 0,
    totalBytes: 0,
    reason: "",
  } as const;
  await beat(store, "m-2", { update });
  expect((await endOf(store, id)).state.kind).toBe("rolled-back");
  expect(await store.findMachine("m-2")).toMatchObject({ state: { kind: "healthy" }, target: null });
});

test("a reimage orders the install together with the target, and its rollback replaces the order", async () => {
  await using hub = await openHub();
  const { store } = hub;
  const { id } = await begin(store, { strategy: "reimage", machine: "node-2" });
  expect(await targetOf(store, "m-2")).toMatchObject({ strategy: "reimage", image: V2 });
  const ordered = await store.findMachine("m-2");
  expect(ordered && openIntent(ordered.state)).toMatchObject({ image: V2, wipe: true, installGeneration: 2 });

  await rollBack(store, id);
  const replaced = await until(store, async () => {
    const machine = await store.findMachine("m-2");
    const intent = machine && openIntent(machine.state);
    return intent?.image === V1 && intent;
  });
  expect(replaced).toMatchObject({ wipe: true, installGeneration: 3 });
  await beat(store, "m-2", { image: V1, installGeneration: 3, bootCount: 1, seq: 1, bootId: bootIdOf(9) });
  expect((await endOf(store, id)).state.kind).toBe("rolled-back");
  expect(hub.errors).toEqual([]);
});
