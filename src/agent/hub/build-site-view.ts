/** What a site needs to know of its machines: the smallest part of the hub's records that lets it decide alone. */
import type { SiteMachine } from "../site/view.ts";
import { type MachineRecord, openIntent } from "./machine-record.ts";

export function siteMachineOf(machine: MachineRecord): SiteMachine {
  const neverInstalled = machine.state.kind === "expected" || machine.state.kind === "discovered";
  return {
    id: machine.id,
    name: machine.name,
    macs: machine.macs,
    keyFingerprint: machine.keyFingerprint,
    intent: openIntent(machine.state) ?? null,
    target: machine.target,
    blank: neverInstalled && !(machine.inventory?.disks.some(disk => disk.holdsData) ?? false),
    quarantineReason: machine.state.kind === "quarantined" ? machine.state.reason : null,
  };
}
