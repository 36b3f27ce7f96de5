/** The newest rollout as an operator's script would follow it: asked after each event, and while the hub is away. */
import { setTimeout as delay } from "node:timers/promises";
import type { Rollout } from "../../src/api/wire.ts";
import type { LabHub } from "./lab-hub.ts";

/** Nothing is missed in the end, also when an event was told while the hub could not be asked. */
const ASK_AT_LEAST_EVERY_MS = 5000;
/** A machine takes about a minute, three of them one after another, with a crash in each: twice that. */
const PATIENCE_MS = 8 * 60_000;

/** @throws Error when the condition does not come true in time, with the state that it got to */
export async function untilRollout(
  hub: LabHub,
  what: string,
  isTrue: (rollout: Rollout) => boolean,
): Promise<Rollout> {
  const deadline = Date.now() + PATIENCE_MS;
  let last = "no answer";
  while (Date.now() < deadline) {
    // Taken before the question: an event that comes while it is answered counts.
    const event = hub.nextEvent();
    const [rollout] = await hub.query<Rollout>("rollout", "status").catch((error: Error) => {
      last = error.message;
      return [];
    });
    if (rollout !== undefined && isTrue(rollout)) return rollout;
    if (rollout !== undefined) last = JSON.stringify({ state: rollout.state, machines: rollout.machines });
    await Promise.race([event, delay(ASK_AT_LEAST_EVERY_MS)]);
  }
  throw new Error(`the rollout did not come to: ${what}; it was at ${last}`);
}

const ENDED = ["done", "rolled-back", "rollback-incomplete"];

export function hasEnded(rollout: Rollout): boolean {
  return ENDED.includes(rollout.state.kind);
}

/** Machines of the plan that are being updated now, by name. */
export function updating(rollout: Rollout): { name: string; phase: string }[] {
  const machines = rollout.plan.waves.flatMap(({ sites }) => sites.flatMap(site => site.machines));
  return machines.flatMap(({ machineId, name }) => {
    const progress = rollout.machines[machineId];
    return progress?.kind === "updating" ? [{ name, phase: progress.phase }] : [];
  });
}
