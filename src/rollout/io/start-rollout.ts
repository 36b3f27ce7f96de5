/** Starts a rollout: plan, record and first event, in one commit that fails when somebody was faster. */
import { mintId, type RandomBytes } from "../../core/ids.ts";
import type { Clock, EpochMs } from "../../core/time.ts";
import type { Store } from "../../store/ports.ts";
import { createRollout } from "../create-rollout.ts";
import { type PlanOutcome, type PlanRequest, planRollout } from "../plan.ts";
import type { Refusal } from "../refusal.ts";
import type { RolloutRecord } from "../rollout-record.ts";
import { loadFleet } from "./load-fleet.ts";

/** Somebody else starts a rollout, or an image goes, between reading and committing; three times in a row is no accident. */
const MAX_TRIES = 3;

/** Changes nothing. */
export async function planFromStore(store: Store, request: PlanRequest, now: EpochMs): Promise<PlanOutcome> {
  const fleet = await loadFleet(store, request.image, now);
  return "kind" in fleet ? fleet : planRollout(request, fleet);
}

export async function startRollout(
  deps: { readonly store: Store; readonly clock: Clock; readonly randomBytes: RandomBytes },
  request: PlanRequest,
  startedBy: string,
): Promise<{ readonly kind: "started"; readonly rollout: RolloutRecord } | Refusal> {
  const { store, clock, randomBytes } = deps;
  for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
    const outcome = await planFromStore(store, request, clock());
    if (outcome.kind === "refused") return outcome;
    const start = { id: mintId("r", randomBytes), startedBy, now: clock() };
    const { rollout, event } = createRollout(outcome.plan, start);
    const committed = await store.commit([
      { kind: "require-image", digest: rollout.plan.image },
      { kind: "insert-rollout", rollout },
      { kind: "append-event", event },
    ]);
    if (committed.kind === "committed") return { kind: "started", rollout };
  }
  return {
    kind: "refused",
    code: "precondition.failed",
    reason: "others keep changing the fleet at the same time",
    advice: "Try again in a moment.",
  };
}
