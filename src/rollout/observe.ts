/**
 * What the newest heartbeat of a machine says about its part in a rollout. Success comes only from a confirmed boot: a new
 * boot id, the wanted image, a confirmed slot and passing checks, as the hub heard them (field notes §2, rule 1).
 */
import type { EpochMs } from "../core/time.ts";
import { formatDuration } from "../core/time.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { FleetMachine, Running, UpdateReport } from "./fleet.ts";
import type { MachineProgress, RolloutRecord } from "./rollout-record.ts";

type Updating = Extract<MachineProgress, { kind: "updating" }>;
type Returning = Extract<MachineProgress, { kind: "returning" }>;

/** A machine that is cut off in mid-update begins again, once: power fails, and says nothing about the image. */
const MAX_ATTEMPTS = 2;

export interface Observation {
  readonly rollout: RolloutRecord;
  /** Undefined: its record was destroyed. */
  readonly machine: FleetMachine | undefined;
  /** Whether its silence means anything: its site is heard of, the hub has listened for a while, and no pause is on. */
  readonly silenceCounts: boolean;
  readonly now: EpochMs;
}

/** Where a machine that was given the image is now; the same value when nothing has changed. */
export function observeUpdating(progress: Updating, observation: Observation): MachineProgress {
  const { rollout, machine, now } = observation;
  const { attempt } = progress;
  const failed = (reason: string): MachineProgress => ({ kind: "failed", attempt, reason, at: now });
  if (machine === undefined) return failed("its record was destroyed");
  const { state, running } = machine;
  if (state.kind === "quarantined" || state.kind === "install-failed") return failed(state.reason);
  const report = reportOf(running, rollout, attempt);
  if (report?.phase === "fell-back") return { kind: "fell-back", attempt, reason: report.reason, at: now };
  if (report?.phase === "failed") return failed(report.reason);
  if (running !== null && running.bootId !== progress.bootIdBefore) {
    if (runsWell(running, rollout.plan.image)) {
      return { kind: "confirmed", attempt, bootId: running.bootId, at: now };
    }
    if (running.image !== rollout.plan.image) {
      if (attempt < MAX_ATTEMPTS) return grant(rollout, running, attempt + 1, now);
      return failed(`it restarted in mid-update ${attempt} times and runs its old image`);
    }
  }
  if (now > progress.deadlineAt && observation.silenceCounts) {
    const waited = formatDuration(now - progress.grantedAt);
    return failed(`not confirmed after ${waited}: ${lastHeard(progress, machine)}`);
  }
  return withDeadline(withPhase(progress, machine, report), observation);
}

/** The target is given: from here on the deadline runs. */
export function grant(rollout: RolloutRecord, running: Running, attempt: number, now: EpochMs): Updating {
  return {
    kind: "updating",
    attempt,
    grantedAt: now,
    deadlineAt: now + rollout.plan.machineTimeoutSeconds * 1000,
    phase: "granted",
    doneBytes: 0,
    totalBytes: 0,
    bootIdBefore: running.bootId,
  };
}

/** Why a confirmed machine is well no more, or undefined. */
export function observeConfirmed(machine: FleetMachine | undefined, image: ImageDigest): string | undefined {
  if (machine === undefined) return "its record was destroyed";
  const { state, running } = machine;
  if (state.kind === "quarantined" || state.kind === "unhealthy") return state.reason;
  if (running === null) return "it reports nothing any more";
  if (running.image !== image) return `it runs ${running.image.slice(0, 19)} again`;
  return failingChecks(running);
}

/**
 * Whether a machine is back: it runs `from`, confirmed and well, and has dealt with the newest target or has restarted since
 * it was given. Without that, an armed machine could still boot the image that was taken from it.
 */
export function isBack(
  rollout: RolloutRecord,
  progress: Returning,
  running: Running,
  from: ImageDigest,
): boolean {
  const dealtWith = reportOf(running, rollout, progress.attempt)?.phase === "confirmed";
  return runsWell(running, from) && (dealtWith || running.bootId !== progress.bootIdBefore);
}

/** The image, in a slot that GRUB boots again by itself, with every check passing. */
export function runsWell(running: Running, image: ImageDigest): boolean {
  return (
    running.image === image && running.slotConfirmed && running.health.every(check => check.status === "pass")
  );
}

/** What the machine says about this attempt; what it says about older ones counts for nothing. */
export function reportOf(
  running: Running | null,
  rollout: RolloutRecord,
  attempt: number,
): UpdateReport | undefined {
  const report = running?.update;
  return report?.rolloutId === rollout.id && report.attempt === attempt ? report : undefined;
}

function withPhase(progress: Updating, { state }: FleetMachine, report: UpdateReport | undefined): Updating {
  const heard = state.kind === "installing" ? state : report;
  if (heard === undefined) return progress;
  const { phase, doneBytes, totalBytes } = heard;
  if (phase === progress.phase && doneBytes === progress.doneBytes && totalBytes === progress.totalBytes) {
    return progress;
  }
  return { ...progress, phase, doneBytes, totalBytes };
}

/** While silence means nothing, a machine always has half of its time left for when it is heard of again. */
function withDeadline(progress: Updating, { rollout, silenceCounts, now }: Observation): Updating {
  const timeoutMs = rollout.plan.machineTimeoutSeconds * 1000;
  if (silenceCounts || progress.deadlineAt - now >= timeoutMs / 2) return progress;
  return { ...progress, deadlineAt: now + timeoutMs };
}

function lastHeard(progress: Updating, { running, lastSeenAt }: FleetMachine): string {
  const checks = running === null ? undefined : failingChecks(running);
  const phase = `the last that was heard is "${progress.phase}"`;
  if (checks !== undefined) return `${phase}, ${checks}`;
  return lastSeenAt !== null && lastSeenAt < progress.grantedAt ? "it has been silent since" : phase;
}

function failingChecks(running: Running): string | undefined {
  const failing = running.health.filter(check => check.status === "fail");
  if (failing.length === 0) return undefined;
  return failing.map(check => `${check.name}: ${check.detail}`).join("; ");
}
