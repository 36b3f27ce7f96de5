/**
 * The way back. Every machine that was given the image must prove that it runs what it ran before; those that never were, say
 * so with what they run. Machines in flight are called back at once; those that serve on the new image follow one after
 * another in each site, so that a rollback takes no more of a site away than the update did.
 */
import type { ImageDigest } from "../images/manifest.ts";
import type { RolloutDraft } from "./draft.ts";
import { isBack, reportOf, runsWell } from "./observe.ts";
import { isReachable } from "./reachable.ts";
import type { MachineProgress, PlannedMachine, PlannedSite, RolloutState } from "./rollout-record.ts";

type Attempted = Extract<MachineProgress, { attempt: number }>;

export function rollBack(draft: RolloutDraft, state: Extract<RolloutState, { kind: "rolling-back" }>): void {
  const sites = draft.plan.waves.flatMap(wave => wave.sites);
  failWave(draft, state.reason);
  for (const site of sites) {
    restoreBaseline(draft, site);
    for (const planned of site.machines) {
      callBack(draft, planned);
      proveReturned(draft, planned);
    }
    returnNext(draft, site);
  }
  end(draft, sites, state.reason);
}

function failWave(draft: RolloutDraft, reason: string): void {
  const current = draft.currentWave;
  if (current === undefined || current.state.kind === "pending" || current.state.kind === "failed") return;
  draft.setWave(current.index, { kind: "failed", reason, at: draft.now });
}

function restoreBaseline(draft: RolloutDraft, { siteId, baselineBefore }: PlannedSite): void {
  const baseline = draft.sites.get(siteId)?.baseline;
  if (baseline === draft.plan.image && baseline !== baselineBefore && draft.plan.machine === undefined) {
    draft.commands.push({ kind: "set-baseline", siteId, image: baselineBefore });
  }
}

/** Machines that do not serve on the new image: nothing is lost by calling them back at once. */
function callBack(draft: RolloutDraft, planned: PlannedMachine): void {
  const progress = draft.progressOf(planned.machineId);
  const running = draft.machines.get(planned.machineId)?.running ?? null;
  if (progress.kind === "queued" || (progress.kind === "failed" && progress.attempt === 0)) {
    // A machine whose record is gone runs what nobody can say; it was given nothing all the same.
    const image = running?.image ?? planned.from;
    draft.setMachine(planned, { kind: "untouched", image, bootId: running?.bootId ?? "" });
  } else if (progress.kind === "fell-back" && running !== null && runsWell(running, planned.from)) {
    // It reports from the boot after the trial: that it runs the old image, confirmed, is proof enough.
    setReturned(draft, planned, running);
  } else if (progress.kind === "fell-back" || progress.kind === "updating" || progress.kind === "failed") {
    setReturning(draft, planned, progress);
  }
}

function proveReturned(draft: RolloutDraft, planned: PlannedMachine): void {
  const progress = draft.progressOf(planned.machineId);
  const running = draft.machines.get(planned.machineId)?.running;
  if (progress.kind !== "returning" || running === null || running === undefined) return;
  if (isBack(draft.before, progress, running, planned.from)) setReturned(draft, planned, running);
}

/** The next one that still serves on the new image, once no other of its site is on its way. */
function returnNext(draft: RolloutDraft, site: PlannedSite): void {
  if (site.machines.some(planned => isOnItsWay(draft, planned))) return;
  for (const planned of site.machines) {
    const progress = draft.progressOf(planned.machineId);
    if (progress.kind !== "confirmed") continue;
    setReturning(draft, planned, progress);
    return;
  }
}

function end(draft: RolloutDraft, sites: readonly PlannedSite[], reason: string): void {
  const { now } = draft;
  const machines = sites.flatMap(site => site.machines);
  const isOpen = (planned: PlannedMachine) =>
    draft.progressOf(planned.machineId).kind === "confirmed" || isOnItsWay(draft, planned);
  if (machines.some(isOpen)) return;
  const missing = sites.flatMap(site =>
    site.machines
      .filter(planned => draft.progressOf(planned.machineId).kind === "returning")
      .map(planned => describeMissing(draft, site, planned)),
  );
  if (missing.length === 0) {
    const summary = `${draft.plan.imageName} is undone: all ${machines.length} machines have proved what they run`;
    draft.setState({ kind: "rolled-back", reason, at: now }, "warning", summary);
    return;
  }
  const list = missing.join("; ");
  draft.setState(
    { kind: "rollback-incomplete", reason: `${reason}; not proven back: ${list}`, at: now },
    "alarm",
    `${draft.plan.imageName} is not undone everywhere: ${list}`,
  );
}

/** Called back, and neither proven back nor given up. */
function isOnItsWay(draft: RolloutDraft, planned: PlannedMachine): boolean {
  const progress = draft.progressOf(planned.machineId);
  if (progress.kind !== "returning" || draft.now > progress.deadlineAt) return false;
  return (
    draft.machines.has(planned.machineId) && reasonGivenUp(draft, planned, progress.attempt) === undefined
  );
}

/** The machine itself says that it cannot go back. */
function reasonGivenUp(
  draft: RolloutDraft,
  { machineId }: PlannedMachine,
  attempt: number,
): string | undefined {
  const machine = draft.machines.get(machineId);
  if (machine?.state.kind === "quarantined" || machine?.state.kind === "install-failed")
    return machine.state.reason;
  const report = reportOf(machine?.running ?? null, draft.before, attempt);
  return report?.phase === "fell-back" || report?.phase === "failed" ? report.reason : undefined;
}

function describeMissing(draft: RolloutDraft, site: PlannedSite, planned: PlannedMachine): string {
  const progress = draft.progressOf(planned.machineId);
  const machine = draft.machines.get(planned.machineId);
  if (machine === undefined) return `${planned.name} (its record was destroyed)`;
  const reason = progress.kind === "returning" ? reasonGivenUp(draft, planned, progress.attempt) : undefined;
  if (reason !== undefined) return `${planned.name} (${reason})`;
  const reachable = isReachable(draft.sites.get(site.siteId), draft.now);
  return `${planned.name} (${reachable ? "no word from it in time" : `site ${site.name} is not reachable`})`;
}

function setReturning(draft: RolloutDraft, planned: PlannedMachine, { attempt }: Attempted): void {
  draft.setMachine(planned, {
    kind: "returning",
    attempt: attempt + 1,
    grantedAt: draft.now,
    deadlineAt: draft.now + draft.plan.machineTimeoutSeconds * 1000,
    bootIdBefore: draft.machines.get(planned.machineId)?.running?.bootId ?? "",
  });
  draft.orderReinstall(planned, planned.from);
}

function setReturned(
  draft: RolloutDraft,
  planned: PlannedMachine,
  running: { readonly image: ImageDigest; readonly bootId: string },
): void {
  draft.setMachine(planned, {
    kind: "returned",
    image: running.image,
    bootId: running.bootId,
    at: draft.now,
  });
}
