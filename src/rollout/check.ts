/**
 * What must hold of every rollout at every moment, written without a look at how the engine works. Tests ask after each step;
 * an empty list means that all is in order.
 */
import type { FleetMachine } from "./fleet.ts";
import { isEnded, type PlannedSite, type RolloutRecord } from "./rollout-record.ts";

/** @param machines as they are once the step's commands are done */
export function checkRollout(rollout: RolloutRecord, machines: readonly FleetMachine[]): string[] {
  return [
    ...checkShape(rollout),
    ...checkSites(rollout),
    ...checkWaveOrder(rollout),
    ...checkTargets(rollout, machines),
    ...checkEnd(rollout),
  ];
}

function checkShape({ plan, waves, machines }: RolloutRecord): string[] {
  const planned = plan.waves.flatMap(wave => wave.sites.flatMap(site => site.machines));
  const violations = planned
    .filter(({ machineId }) => machines[machineId] === undefined)
    .map(({ name }) => `${name} is planned and has no progress`);
  if (waves.length !== plan.waves.length)
    violations.push(`${plan.waves.length} waves, ${waves.length} states`);
  if (Object.keys(machines).length !== planned.length)
    violations.push("progress of a machine that is not planned");
  return violations;
}

function checkSites({ plan, machines }: RolloutRecord): string[] {
  return plan.waves
    .flatMap(wave => wave.sites)
    .flatMap(site => {
      const updating = site.machines.filter(({ machineId }) => machines[machineId]?.kind === "updating");
      return updating.length > 1 ? [`${updating.length} machines of ${site.name} update at once`] : [];
    });
}

/** No machine is touched before every earlier wave has passed. */
function checkWaveOrder(rollout: RolloutRecord): string[] {
  const { plan, waves, state } = rollout;
  const firstNotPassed = waves.findIndex(wave => wave.kind !== "passed");
  if (firstNotPassed < 0) return [];
  const violations: string[] = [];
  for (const [index, wave] of plan.waves.entries()) {
    const kind = waves[index]?.kind;
    if (index > firstNotPassed && kind !== "pending")
      violations.push(`wave ${index + 1} is ${kind} too early`);
    const touched = wave.sites.some(site => isTouched(rollout, site));
    if (index > firstNotPassed && touched) violations.push(`wave ${index + 1} is touched too early`);
    if (kind === "pending" && touched) violations.push(`wave ${index + 1} is touched while pending`);
    if (kind === "failed" && state.kind === "running")
      violations.push(`wave ${index + 1} failed and all goes on`);
  }
  return violations;
}

function isTouched({ machines }: RolloutRecord, site: PlannedSite): boolean {
  return site.machines.some(({ machineId }) => {
    const kind = machines[machineId]?.kind;
    return kind !== "queued" && kind !== "untouched";
  });
}

/** Who updates or returns has a target of the newest attempt; nobody else has one of this rollout. */
function checkTargets(rollout: RolloutRecord, machines: readonly FleetMachine[]): string[] {
  return machines.flatMap(({ id, name, target }) => {
    const progress = rollout.machines[id];
    const mine = target?.rolloutId === rollout.id ? target : null;
    if (isEnded(rollout.state)) return mine === null ? [] : [`${name} has a target of an ended rollout`];
    if (progress?.kind !== "updating" && progress?.kind !== "returning") {
      return mine === null ? [] : [`${name} is ${progress?.kind} and has a target`];
    }
    if (mine === null) return [`${name} is ${progress.kind} and has no target`];
    const violations: string[] = [];
    if (mine.attempt !== progress.attempt) violations.push(`${name} has the target of another attempt`);
    if ((mine.image === rollout.plan.image) !== (progress.kind === "updating")) {
      violations.push(`${name} is ${progress.kind} and has the wrong image as target`);
    }
    if (rollout.state.kind === "paused" && mine.may !== "nothing")
      violations.push(`${name} may reboot while paused`);
    return violations;
  });
}

function checkEnd({ plan, state, waves, machines }: RolloutRecord): string[] {
  const kinds = Object.values(machines).map(progress => progress.kind);
  if (state.kind === "done") {
    const loose = kinds.filter(kind => kind !== "confirmed");
    const open = waves.filter(wave => wave.kind !== "passed");
    return [
      ...loose.map(kind => `done with a machine ${kind}`),
      ...open.map(({ kind }) => `done with a wave ${kind}`),
    ];
  }
  if (state.kind === "rolled-back") {
    const loose = kinds.filter(kind => kind !== "returned" && kind !== "untouched");
    const onNewImage = plan.waves
      .flatMap(wave => wave.sites.flatMap(site => site.machines))
      .filter(({ machineId, from }) => {
        const progress = machines[machineId];
        return progress?.kind === "returned" && progress.image !== from;
      });
    return [
      ...loose.map(kind => `rolled back with a machine ${kind}`),
      ...onNewImage.map(({ name }) => `${name} counts as returned and does not run what it ran before`),
    ];
  }
  return [];
}
