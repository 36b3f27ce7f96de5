/** Decides whether a machine has reached what somebody waits for, can no longer reach it, or is on its way. */
import type { Machine } from "../../api/wire.ts";
import { formatBytes } from "../../core/bytes.ts";
import type { BarProgress } from "../cli.ts";

export type WaitVerdict =
  | { readonly kind: "reached" }
  | { readonly kind: "failed"; readonly reason: string; readonly advice: string }
  | { readonly kind: "waiting"; readonly progress: BarProgress; readonly reason: string };

export interface WaitGoal {
  readonly state: string;
  /** The install that must lead there. */
  readonly install?: InstallGoal | undefined;
}

export interface InstallGoal {
  readonly image: string;
  /** When another install takes its place, the wait has failed. */
  readonly installGeneration: number;
}

/** An unhealthy machine may still become healthy: only the time limit ends that wait. */
export function evaluateWait(machine: Machine, goal: WaitGoal): WaitVerdict {
  const { state } = machine;
  const advice = `See what happened with: drp why ${machine.name}`;
  if (goal.install !== undefined && machine.installGeneration !== goal.install.installGeneration) {
    return { kind: "failed", reason: `another install of ${machine.name} took this one's place`, advice };
  }
  if (goal.install !== undefined && isTakenBack(machine, goal.install)) {
    return { kind: "failed", reason: `the install of ${machine.name} was taken back`, advice };
  }
  if (state.kind === goal.state) return { kind: "reached" };
  if (state.kind === "install-failed" || state.kind === "quarantined") {
    return { kind: "failed", reason: `${machine.name} is ${state.kind}: ${state.reason}`, advice };
  }
  return { kind: "waiting", ...describeWait(machine) };
}

/** A machine without its order is again what it was before: not seen, waiting, or running what it ran. */
function isTakenBack({ state, running }: Machine, { image }: InstallGoal): boolean {
  if (state.kind === "expected" || state.kind === "discovered") return true;
  return (state.kind === "healthy" || state.kind === "unhealthy") && running?.image !== image;
}

function describeWait(machine: Machine): { progress: BarProgress; reason: string } {
  const { state } = machine;
  const still = (label: string) => ({ progress: { label, doneBytes: 0, totalBytes: 0 }, reason: label });
  switch (state.kind) {
    case "assigned":
      return still("waiting for the machine to boot from the network");
    case "installing":
      return {
        progress: { label: state.phase, doneBytes: state.doneBytes, totalBytes: state.totalBytes },
        reason: `${state.phase}, ${formatBytes(state.doneBytes)} of ${formatBytes(state.totalBytes)}`,
      };
    case "booting":
      return still("image written and verified; waiting for its first heartbeat");
    case "unhealthy":
      return still(`unhealthy: ${state.reason}`);
    default:
      return still(`the machine is ${state.kind}`);
  }
}
