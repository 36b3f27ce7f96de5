/**
 * What a machine does next about its target. One step at a time: each step is kept and reported before the next one, so that
 * the site's newest word (pause, another target) always comes between.
 */
import type { MachineTarget } from "../protocol.ts";
import type { KeptUpdate } from "./agent-files.ts";
import type { RunningSystem } from "./boot-outcome.ts";

export type UpdateAction =
  | { readonly kind: "none" }
  /** Deal with this target from now on; what was under way for another one ends. */
  | { readonly kind: "accept"; readonly update: KeptUpdate }
  /** Begin, or go on beside the heartbeats. */
  | { readonly kind: "write-slot" }
  | { readonly kind: "stop-writing" }
  | { readonly kind: "arm" }
  | { readonly kind: "disarm" }
  | { readonly kind: "reboot" }
  /** Another target counts now: the confirmed slot deals with it. */
  | { readonly kind: "abandon-trial" };

/** @param target the site's newest; null: stay with what runs */
export function decideUpdate(
  target: MachineTarget | null,
  kept: KeptUpdate | null,
  running: RunningSystem & { readonly isTrial: boolean },
): UpdateAction {
  if (target !== null && !isSameAttempt(target, kept)) {
    if (running.isTrial) return { kind: "abandon-trial" };
    if (target.image === running.image) return { kind: "accept", update: begin(target, "confirmed", null) };
    if (target.may === "nothing") return halt(kept);
    return target.strategy === "ab"
      ? { kind: "accept", update: begin(target, "fetching", null) }
      : { kind: "accept", update: begin(target, "armed", running.bootId) };
  }
  if (target === null || target.may === "nothing") return halt(kept);
  switch (kept?.phase) {
    case "fetching":
      return { kind: "write-slot" };
    case "written":
      return { kind: "arm" };
    case "armed":
      return { kind: "reboot" };
    default:
      return { kind: "none" };
  }
}

function isSameAttempt(target: MachineTarget, kept: KeptUpdate | null): boolean {
  return kept?.rolloutId === target.rolloutId && kept.attempt === target.attempt;
}

/** Leaves the machine so that a power cut boots what runs now. */
function halt(kept: KeptUpdate | null): UpdateAction {
  if (kept?.phase === "fetching") return { kind: "stop-writing" };
  if (kept?.phase === "armed" && kept.strategy === "ab") return { kind: "disarm" };
  return { kind: "none" };
}

function begin(
  { rolloutId, attempt, image, strategy }: MachineTarget,
  phase: KeptUpdate["phase"],
  armedInBoot: string | null,
): KeptUpdate {
  return { rolloutId, attempt, image, strategy, phase, doneBytes: 0, totalBytes: 0, reason: "", armedInBoot };
}
