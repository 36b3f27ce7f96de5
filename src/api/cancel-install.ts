/** Decides what a machine is once its open install order is taken back. */
import { type MachineRecord, type MachineState, openIntent } from "../agent/hub/machine-record.ts";
import { DrpError } from "../core/errors.ts";
import type { EpochMs } from "../core/time.ts";

/**
 * @returns the machine without its order, one revision further
 * @throws {DrpError} intent.conflict when there is no open order
 */
export function cancelInstall(machine: MachineRecord, by: string, now: EpochMs): MachineRecord {
  if (openIntent(machine.state) === undefined) {
    throw new DrpError(
      "intent.conflict",
      `${machine.name} has no open install order (${machine.state.kind})`,
    );
  }
  return {
    ...machine,
    state: stateWithoutOrder(machine, by),
    updatedAt: now,
    revision: machine.revision + 1,
  };
}

function stateWithoutOrder({ state, inventory, running }: MachineRecord, by: string): MachineState {
  // A disk that was being written holds neither the old system nor the new one: it must not look healthy.
  if (state.kind === "installing")
    return { kind: "install-failed", reason: `cancelled by ${by} while ${state.phase}` };
  if (running !== null) {
    const failing = running.health.filter(check => check.status === "fail");
    if (failing.length === 0) return { kind: "healthy" };
    return { kind: "unhealthy", reason: failing.map(check => `${check.name}: ${check.detail}`).join("; ") };
  }
  return inventory === null ? { kind: "expected" } : { kind: "discovered" };
}
