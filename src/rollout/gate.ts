/**
 * Judges one wave. There are three answers, and a reason with numbers for each: pass, fail, and no data, which holds the wave
 * and neither passes nor fails it (field notes §2, rule 3). Before every machine has an end the gate is not asked.
 */
import type { EpochMs } from "../core/time.ts";
import { formatDuration } from "../core/time.ts";
import type { FleetMachine, FleetSite } from "./fleet.ts";
import { isReachable } from "./reachable.ts";
import type { MachineProgress, PlannedWave, WaveState } from "./rollout-record.ts";

export interface WaveEvidence {
  readonly wave: PlannedWave;
  readonly state: WaveState;
  readonly progress: Readonly<Record<string, MachineProgress>>;
  readonly machines: ReadonlyMap<string, FleetMachine>;
  readonly sites: ReadonlyMap<string, FleetSite>;
  readonly machineTimeoutSeconds: number;
  readonly now: EpochMs;
}

export type GateVerdict =
  /** All is well so far, and some machine is not confirmed yet. */
  | { readonly kind: "under-way" }
  | { readonly kind: "pass"; readonly reason: string }
  | { readonly kind: "fail"; readonly reason: string }
  | { readonly kind: "no-data"; readonly reason: string };

/** A confirmed machine reports every ten seconds; the wave is not judged while one has been silent for this long. */
const SILENT_AFTER_MS = 60_000;

/** Any failure fails a wave. */
export function evaluateWave(evidence: WaveEvidence): GateVerdict {
  const { wave, state, progress, now } = evidence;
  const machines = wave.sites.flatMap(site => site.machines);
  const of = (kind: MachineProgress["kind"]) =>
    machines.filter(({ machineId }) => progress[machineId]?.kind === kind);
  const confirmed = of("confirmed");
  const counts = `${confirmed.length} of ${machines.length} machines confirmed`;

  const failures = machines.flatMap(({ machineId, name }) => {
    const at = progress[machineId];
    if (at?.kind === "fell-back") return [`${name} fell back: ${at.reason}`];
    return at?.kind === "failed" ? [`${name} failed: ${at.reason}`] : [];
  });
  if (failures.length > 0) return { kind: "fail", reason: `${failures.join("; ")} (${counts})` };

  const unreachable = wave.sites.filter(({ siteId }) => !isReachable(evidence.sites.get(siteId), now));
  if (unreachable.length > 0) {
    const names = unreachable.map(site => site.name).join(", ");
    return { kind: "no-data", reason: `not reachable: ${names} (${counts})` };
  }
  const busy = of("queued").flatMap(({ machineId, name }) => {
    const reason = reasonNotToGrant(evidence.machines.get(machineId));
    return reason === undefined ? [] : [`${name} ${reason}`];
  });
  if (busy.length > 0) return { kind: "no-data", reason: `${busy.join("; ")} (${counts})` };

  const silent = confirmed.filter(({ machineId }) => isSilent(evidence.machines.get(machineId), now));
  if (silent.length > 0) {
    const reason = `silent, though the site is reachable: ${silent.map(machine => machine.name).join(", ")} (${counts})`;
    const heldMs = state.kind === "held" && state.reason === reason ? now - state.since : 0;
    if (heldMs <= evidence.machineTimeoutSeconds * 1000) return { kind: "no-data", reason };
    return { kind: "fail", reason: `${reason}, for ${formatDuration(heldMs)}` };
  }
  if (confirmed.length < machines.length) return { kind: "under-way" };
  return { kind: "pass", reason: counts };
}

/** Why a queued machine cannot be given a target now, though the rollout does not fail for it; or undefined. */
export function reasonNotToGrant(machine: FleetMachine | undefined): string | undefined {
  if (machine === undefined) return undefined;
  const { kind } = machine.state;
  if (kind === "healthy" || kind === "unhealthy" || kind === "quarantined") return undefined;
  return kind === "install-failed" ? "has a failed install" : `is ${kind}`;
}

function isSilent(machine: FleetMachine | undefined, now: EpochMs): boolean {
  return machine?.lastSeenAt != null && now - machine.lastSeenAt > SILENT_AFTER_MS;
}
