/**
 * What a person may do to a rollout. Each changes the rollout's state alone; the next step of the engine draws the
 * consequences for waves and machines.
 */
import type { EpochMs } from "../core/time.ts";
import type { Refusal } from "./refusal.ts";
import { type RolloutEvent, rolloutEvent } from "./rollout-event.ts";
import type { RolloutRecord, RolloutState } from "./rollout-record.ts";
import { ROLLOUT_TRANSITIONS } from "./transitions.ts";

export type OperatorOutcome =
  /** `rollout` is one revision further. */
  { readonly kind: "changed"; readonly rollout: RolloutRecord; readonly event: RolloutEvent } | Refusal;

/** Nothing new is begun, nothing more is written, and no armed machine reboots; what is confirmed stays. */
export function pauseRollout(rollout: RolloutRecord, by: string, now: EpochMs): OperatorOutcome {
  return change(rollout, { kind: "paused", by, at: now }, now, {
    verb: "paused",
    severity: "warning",
    summary: `${by} paused ${rollout.plan.imageName}: nothing is begun, written or rebooted until it is resumed`,
  });
}

export function resumeRollout(rollout: RolloutRecord, by: string, now: EpochMs): OperatorOutcome {
  return change(rollout, { kind: "running" }, now, {
    verb: "resumed",
    severity: "info",
    summary: `${by} resumed ${rollout.plan.imageName}`,
  });
}

/** Takes every machine back to what it ran before. Denies the image nowhere: no gate has judged it. */
export function orderRollback(rollout: RolloutRecord, by: string, now: EpochMs): OperatorOutcome {
  const reason = `${by} ordered it`;
  return change(rollout, { kind: "rolling-back", reason, since: now }, now, {
    verb: "rolling-back",
    severity: "warning",
    summary: `${rollout.plan.imageName} is rolled back: ${reason}`,
  });
}

function change(
  rollout: RolloutRecord,
  state: RolloutState,
  now: EpochMs,
  event: { readonly verb: string; readonly severity: "info" | "warning"; readonly summary: string },
): OperatorOutcome {
  const next = ROLLOUT_TRANSITIONS[rollout.state.kind];
  if (!next.includes(state.kind)) {
    return {
      kind: "refused",
      code: "rollout.conflict",
      reason: `rollout ${rollout.id} is ${rollout.state.kind}; it cannot be ${event.verb} from there`,
      advice: `See where it stands: drp rollout status ${rollout.id}`,
    };
  }
  return {
    kind: "changed",
    rollout: { ...rollout, state, updatedAt: now, revision: rollout.revision + 1 },
    event: rolloutEvent(rollout, now, {
      kind: `rollout.${event.verb}`,
      severity: event.severity,
      summary: event.summary,
    }),
  };
}
