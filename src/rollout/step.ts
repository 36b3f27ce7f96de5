/**
 * The engine: what a rollout does next, from its record, what the fleet reports, and the time. It keeps nothing between two
 * calls and touches nothing; called twice with the same input it decides the same. Wave by wave, the sites of a wave side by
 * side, inside a site one machine after another (field notes §2, rule 7).
 */
import type { RolloutCommand } from "./command.ts";
import { RolloutDraft, type StepInput } from "./draft.ts";
import type { FleetMachine } from "./fleet.ts";
import { evaluateWave, reasonNotToGrant } from "./gate.ts";
import { grant, observeConfirmed, observeUpdating, runsWell } from "./observe.ts";
import { isReachable, UNREACHABLE_AFTER_MS } from "./reachable.ts";
import { rollBack } from "./roll-back.ts";
import type { RolloutEvent } from "./rollout-event.ts";
import { isEnded, type PlannedMachine, type PlannedSite, type RolloutRecord } from "./rollout-record.ts";
import { targetCommands } from "./targets.ts";

export interface StepResult {
  /** The same object when nothing has changed; otherwise one revision further. */
  readonly rollout: RolloutRecord;
  readonly commands: readonly RolloutCommand[];
  readonly events: readonly RolloutEvent[];
}

export function stepRollout(input: StepInput): StepResult {
  const draft = new RolloutDraft(input);
  if (!isEnded(draft.state)) {
    if (draft.state.kind !== "rolling-back") goForward(draft, input.imageDenied);
    if (draft.state.kind === "rolling-back") rollBack(draft, draft.state);
  }
  const rollout = draft.finish();
  const commands = [...draft.commands, ...targetCommands(rollout, draft.machines)];
  return { rollout, commands, events: draft.events };
}

/** Paused, it only looks: what machines report is kept, and judged when the rollout is resumed. */
function goForward(draft: RolloutDraft, imageDenied: string | null): void {
  for (const wave of draft.plan.waves) {
    for (const site of wave.sites) observeSite(draft, site);
  }
  if (draft.state.kind === "paused") return;
  if (imageDenied !== null) {
    giveUp(draft, `${draft.plan.imageName} was denied meanwhile: ${imageDenied}`);
    return;
  }
  while (moveWave(draft));
  if (draft.state.kind !== "running") return;
  for (const site of draft.currentWave?.wave.sites ?? []) grantNext(draft, site);
}

function observeSite(draft: RolloutDraft, site: PlannedSite): void {
  const { before: rollout, now } = draft;
  // A hub that has just come up has heard of nobody yet.
  const hasListened = now - draft.listeningSince > UNREACHABLE_AFTER_MS;
  const isHeardOf = hasListened && isReachable(draft.sites.get(site.siteId), now);
  const silenceCounts = draft.state.kind !== "paused" && isHeardOf;
  for (const planned of site.machines) {
    const progress = draft.progressOf(planned.machineId);
    const machine = draft.machines.get(planned.machineId);
    if (progress.kind === "updating") {
      const next = observeUpdating(progress, { rollout, machine, silenceCounts, now });
      draft.setMachine(planned, next);
      if (next.kind === "fell-back") draft.denyOnMachine(planned, next.reason);
      const secondAttempt = next.kind === "updating" && next.attempt !== progress.attempt;
      if (secondAttempt) draft.orderReinstall(planned, draft.plan.image);
    } else if (progress.kind === "confirmed" && isWatched(draft, site)) {
      const reason = observeConfirmed(machine, draft.plan.image);
      const { attempt } = progress;
      if (reason !== undefined) draft.setMachine(planned, { kind: "failed", attempt, reason, at: now });
    }
  }
}

/** Confirmed machines are watched until their wave has passed. */
function isWatched(draft: RolloutDraft, site: PlannedSite): boolean {
  return draft.currentWave?.wave.sites.includes(site) ?? false;
}

/** @returns whether the wave moved, so that the next question may be asked at once */
function moveWave(draft: RolloutDraft): boolean {
  const { now, plan } = draft;
  const current = draft.currentWave;
  if (current === undefined) {
    const where = plan.machine === undefined ? "is everywhere" : `runs on ${plan.machine}`;
    draft.setState({ kind: "done", at: now }, "info", `${plan.imageName} ${where}: every wave has passed`);
    return false;
  }
  const { index, wave, state } = current;
  if (state.kind === "pending") {
    draft.setWave(index, { kind: "open", openedAt: now });
    return true;
  }
  const verdict = evaluateWave({
    wave,
    state,
    progress: draft.progress,
    machines: draft.machines,
    sites: draft.sites,
    machineTimeoutSeconds: plan.machineTimeoutSeconds,
    now,
  });
  switch (verdict.kind) {
    case "fail":
      draft.setWave(index, { kind: "failed", reason: verdict.reason, at: now });
      giveUp(draft, `wave ${index + 1} failed: ${verdict.reason}`);
      draft.commands.push({ kind: "deny-image", image: plan.image, reason: verdict.reason });
      return false;
    case "no-data":
      if (state.kind === "held" && state.reason === verdict.reason) return false;
      draft.setWave(index, { kind: "held", reason: verdict.reason, since: now });
      return false;
    case "under-way":
      if (state.kind === "held") draft.setWave(index, { kind: "open", openedAt: now });
      return false;
    case "pass":
      if (state.kind === "held") draft.setWave(index, { kind: "open", openedAt: now });
      else if (state.kind === "open") {
        draft.setWave(index, { kind: "soaking", until: now + plan.soakSeconds * 1000 });
      } else if (state.kind === "soaking" && now >= state.until) passWave(draft, index, wave.sites);
      else return false;
      return true;
  }
}

function passWave(draft: RolloutDraft, index: number, sites: readonly PlannedSite[]): void {
  draft.setWave(index, { kind: "passed", at: draft.now });
  if (draft.plan.machine !== undefined) return;
  for (const { siteId } of sites) {
    draft.commands.push({ kind: "set-baseline", siteId, image: draft.plan.image });
  }
}

function giveUp(draft: RolloutDraft, reason: string): void {
  const summary = `${draft.plan.imageName} is rolled back: ${reason}`;
  draft.setState({ kind: "rolling-back", reason, since: draft.now }, "alarm", summary);
}

/** The next machine of a site, once the one before it has its end. */
function grantNext(draft: RolloutDraft, site: PlannedSite): void {
  if (!isReachable(draft.sites.get(site.siteId), draft.now)) return;
  for (const planned of site.machines) {
    const { kind } = draft.progressOf(planned.machineId);
    if (kind === "confirmed") continue;
    if (kind === "queued") grantMachine(draft, planned);
    return;
  }
}

function grantMachine(draft: RolloutDraft, planned: PlannedMachine): void {
  const { before: rollout, plan, now } = draft;
  const machine = draft.machines.get(planned.machineId);
  if (reasonNotToGrant(machine) !== undefined) return;
  const reason = reasonToFail(machine, plan.image);
  if (machine === undefined || machine.running === null || reason !== undefined) {
    const failed = { kind: "failed", attempt: 0, reason: reason ?? "it reports nothing", at: now } as const;
    draft.setMachine(planned, failed);
    return;
  }
  const { running } = machine;
  if (runsWell(running, plan.image)) {
    draft.setMachine(planned, { kind: "confirmed", attempt: 0, bootId: running.bootId, at: now });
    return;
  }
  draft.setMachine(planned, grant(rollout, running, 1, now));
  draft.orderReinstall(planned, plan.image);
}

function reasonToFail(machine: FleetMachine | undefined, image: string): string | undefined {
  if (machine === undefined) return "its record was destroyed";
  if (machine.state.kind === "quarantined") return machine.state.reason;
  const denial = machine.denied.find(entry => entry.image === image);
  return denial === undefined ? undefined : `the image is denied on it: ${denial.reason}`;
}
