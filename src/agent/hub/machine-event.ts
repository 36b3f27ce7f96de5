/** One line of a machine's timeline, as the hub keeps it. */
import type { MacAddress } from "../../core/mac.ts";
import type { EpochMs } from "../../core/time.ts";
import type { MachineRecord } from "./machine-record.ts";

export interface MachineEvent {
  readonly at: EpochMs;
  readonly kind: string;
  readonly severity: "info" | "warning" | "alarm";
  readonly siteId: string;
  readonly machineId: string;
  readonly mac: MacAddress | null;
  /** One sentence for people, with the reason. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

export function machineEvent(
  machine: Pick<MachineRecord, "id" | "siteId" | "macs">,
  at: EpochMs,
  event: Pick<MachineEvent, "kind" | "severity" | "summary" | "facts">,
): MachineEvent {
  return { at, siteId: machine.siteId, machineId: machine.id, mac: machine.macs[0] ?? null, ...event };
}
