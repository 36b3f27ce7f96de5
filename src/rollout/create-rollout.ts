import type { EpochMs } from "../core/time.ts";
import { type RolloutEvent, rolloutEvent } from "./rollout-event.ts";
import type { RolloutPlan, RolloutRecord } from "./rollout-record.ts";

/** The record that a plan begins as, and the first line of its log. Nothing is granted yet. */
export function createRollout(
  plan: RolloutPlan,
  start: { readonly id: string; readonly startedBy: string; readonly now: EpochMs },
): { readonly rollout: RolloutRecord; readonly event: RolloutEvent } {
  const { id, startedBy, now } = start;
  const sites = plan.waves.flatMap(wave => wave.sites);
  const machineIds = sites.flatMap(site => site.machines.map(machine => machine.machineId));
  const rollout: RolloutRecord = {
    id,
    plan,
    state: { kind: "running" },
    waves: plan.waves.map(() => ({ kind: "pending" })),
    machines: Object.fromEntries(machineIds.map(machineId => [machineId, { kind: "queued" }])),
    startedBy,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  };
  const size = `${count(plan.waves.length, "wave")}, ${count(sites.length, "site")}, ${count(machineIds.length, "machine")}`;
  return {
    rollout,
    event: rolloutEvent(rollout, now, {
      kind: "rollout.started",
      severity: "info",
      summary: `${startedBy} started ${plan.imageName}${plan.imageTag === undefined ? "" : ` (tag ${plan.imageTag})`}: ${size}`,
      facts: {
        plan: plan.hash,
        image: plan.image,
        strategy: plan.strategy,
        ...(plan.imageTag === undefined ? {} : { tag: plan.imageTag }),
      },
    }),
  };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
