/**
 * Runs the engine on the real clock against the store: after every commit that could matter, and every second for deadlines
 * and soak times. It keeps nothing itself; killed at any moment, the next one goes on from the last commit.
 */
import type { MachineRecord } from "../../agent/hub/machine-record.ts";
import type { RandomBytes } from "../../core/ids.ts";
import type { Clock, EpochMs } from "../../core/time.ts";
import type { DeniedImageRecord, ImageRecord, SiteRecord, Store, StoreChange } from "../../store/ports.ts";
import type { RolloutRecord } from "../rollout-record.ts";
import { stepRollout } from "../step.ts";
import { changesOfStep } from "./changes-of-step.ts";
import { readMachines, readOpenRollouts } from "./load-fleet.ts";

export interface ReconcilerDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** The store failed, or the engine did; the next round tries again. */
  readonly onError: (error: unknown) => void;
}

export interface Reconciler {
  /** Resolves when the round that may be under way has ended. */
  stop(): Promise<void>;
}

/** How late a deadline or the end of a soak may be noticed. */
const ROUND_MS = 1_000;
/** Steps of one rollout in one round: heartbeats come between reading and committing; the next round goes on. */
const MAX_STEPS = 20;

const WAKING: ReadonlySet<StoreChange["kind"]> = new Set([
  "update-machine",
  "delete-machine",
  "update-site",
  "insert-rollout",
  "update-rollout",
  "deny-image",
]);

/** @returns what ends it; rounds never overlap */
export function startReconciler(deps: ReconcilerDeps): Reconciler {
  const listeningSince = deps.clock();
  let stopped = false;
  let wanted = false;
  let running: Promise<void> | undefined;

  const rounds = async () => {
    while (wanted && !stopped) {
      wanted = false;
      await reconcileOnce(deps, listeningSince).catch(deps.onError);
    }
    running = undefined;
  };
  const wake = () => {
    wanted = true;
    if (!stopped) running ??= rounds();
  };

  const unsubscribe = deps.store.onCommitted(changes => {
    if (changes.some(change => WAKING.has(change.kind))) wake();
  });
  const timer = setInterval(wake, ROUND_MS);
  wake();
  return {
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      unsubscribe();
      await running;
    },
  };
}

/** Takes every open rollout as far as it goes now. A rollout that fails does not keep the others from going on. */
async function reconcileOnce(deps: ReconcilerDeps, listeningSince: EpochMs): Promise<void> {
  for (const { id } of await readOpenRollouts(deps.store)) {
    try {
      await reconcileRollout(deps, listeningSince, id);
    } catch (error) {
      deps.onError(new Error(`rollout ${id} could not be taken further`, { cause: error }));
    }
  }
}

async function reconcileRollout(deps: ReconcilerDeps, listeningSince: EpochMs, id: string): Promise<void> {
  for (let step = 0; step < MAX_STEPS; step++) {
    const situation = await readSituation(deps.store, id);
    if (situation === undefined) return;
    const { rollout, machines, sites, images, denied } = situation;
    const now = deps.clock();
    const denial = denied.find(({ digest }) => digest === rollout.plan.image);
    const imageDenied = denial === undefined ? null : denial.reason;
    const result = stepRollout({ rollout, machines, sites, imageDenied, listeningSince, now });
    const { randomBytes } = deps;
    const changes = changesOfStep(result, { before: rollout, machines, sites, images, now, randomBytes });
    if (changes.length === 0) return;
    // A conflict means that the situation is another by now: it is read again, and decided again.
    await deps.store.commit(changes);
  }
}

interface Situation {
  readonly rollout: RolloutRecord;
  readonly machines: readonly MachineRecord[];
  readonly sites: readonly SiteRecord[];
  readonly images: ReadonlyMap<string, ImageRecord>;
  readonly denied: readonly DeniedImageRecord[];
}

async function readSituation(store: Store, id: string): Promise<Situation | undefined> {
  const rollout = await store.findRollout(id);
  if (rollout === undefined) return undefined;
  const planned = rollout.plan.waves.flatMap(wave => wave.sites);
  const machines: MachineRecord[] = [];
  const sites: SiteRecord[] = [];
  for (const { siteId } of planned) {
    machines.push(...(await readMachines(store, siteId)));
    const site = await store.findSite(siteId);
    if (site !== undefined) sites.push(site);
  }
  const digests = new Set(planned.flatMap(site => site.machines.map(machine => machine.from)));
  const images = new Map<string, ImageRecord>();
  for (const digest of digests.add(rollout.plan.image)) {
    const [image] = await store.findImages(digest);
    if (image !== undefined) images.set(digest, image);
  }
  return { rollout, machines, sites, images, denied: await store.listDeniedImages() };
}
