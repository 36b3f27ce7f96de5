/**
 * What every machine of a rollout should be told, derived from the record alone: whoever is updating or returning has a target,
 * nobody else. So a pause, a restart of the hub and the end of a rollout need no rule of their own.
 */
import type { RolloutCommand } from "./command.ts";
import type { FleetMachine, MachineTarget } from "./fleet.ts";
import type { PlannedMachine, RolloutRecord } from "./rollout-record.ts";
import { isEnded } from "./rollout-record.ts";

/** What has to change for the machines to have what they should. */
export function targetCommands(
  rollout: RolloutRecord,
  machines: ReadonlyMap<string, FleetMachine>,
): RolloutCommand[] {
  const commands: RolloutCommand[] = [];
  for (const planned of rollout.plan.waves.flatMap(wave => wave.sites.flatMap(site => site.machines))) {
    const { machineId } = planned;
    const machine = machines.get(machineId);
    if (machine === undefined) continue;
    const target = targetOf(rollout, planned);
    if (target === null) {
      if (machine.target?.rolloutId === rollout.id) commands.push({ kind: "clear-target", machineId });
    } else if (machine.target === null || !isSame(machine.target, target)) {
      commands.push({ kind: "set-target", machineId, target });
    }
  }
  return commands;
}

/** Null: it stays with what it runs. */
export function targetOf(rollout: RolloutRecord, { machineId, from }: PlannedMachine): MachineTarget | null {
  const progress = rollout.machines[machineId];
  if (progress === undefined || isEnded(rollout.state)) return null;
  const { strategy, image } = rollout.plan;
  const shared = { rolloutId: rollout.id, strategy };
  if (progress.kind === "updating") {
    const may = rollout.state.kind === "paused" ? "nothing" : "reboot";
    return { ...shared, attempt: progress.attempt, image, may };
  }
  if (progress.kind === "returning") {
    return { ...shared, attempt: progress.attempt, image: from, may: "reboot" };
  }
  return null;
}

function isSame(one: MachineTarget, other: MachineTarget): boolean {
  return (
    one.rolloutId === other.rolloutId &&
    one.attempt === other.attempt &&
    one.image === other.image &&
    one.strategy === other.strategy &&
    one.may === other.may
  );
}
