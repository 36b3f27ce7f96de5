/**
 * The view as it will be once the hub has a report: with it a site goes on at once, and while the WAN is down. Follows the
 * hub's rules (hub/apply-report.ts) as far as a view can show them; where it shows too little, the answer is the careful one.
 */
import { nameDiscovered } from "../hub/apply-report.ts";
import type { InstallProgress, Inventory } from "../protocol.ts";
import type { SiteMachine, SiteReport, SiteView } from "./view.ts";

type Registration = Extract<SiteReport, { kind: "machine-registered" }>;

export function applyReportToView(view: SiteView, report: SiteReport): SiteView {
  switch (report.kind) {
    case "machine-registered": {
      const known = view.machines.some(machine => machine.id === report.machineId);
      if (!known) return { ...view, machines: [...view.machines, discovered(report)] };
      return changeMachine(view, report.machineId, machine => register(machine, report));
    }
    case "install-progress":
      return changeMachine(view, report.machineId, machine => closeIntent(machine, report.progress));
    case "heartbeat":
    case "boot-event":
    case "image-event":
    case "token-replayed":
      return view;
  }
}

function changeMachine(
  view: SiteView,
  machineId: string,
  change: (machine: SiteMachine) => SiteMachine,
): SiteView {
  const machines = view.machines.map(machine => (machine.id === machineId ? change(machine) : machine));
  return { ...view, machines };
}

function discovered({ machineId, bootMac, keyFingerprint, inventory }: Registration): SiteMachine {
  return {
    id: machineId,
    name: nameDiscovered(bootMac),
    macs: [bootMac],
    keyFingerprint,
    intent: null,
    target: null,
    blank: holdsNothing(inventory),
    quarantineReason: null,
  };
}

function register(machine: SiteMachine, report: Registration): SiteMachine {
  const { intentId, keyFingerprint, inventory } = report;
  if (intentId === null) {
    return { ...machine, keyFingerprint, blank: machine.blank && holdsNothing(inventory) };
  }
  const { intent } = machine;
  if (intent?.id !== intentId) return machine;
  return { ...machine, keyFingerprint, blank: false, intent: { ...intent, attempts: intent.attempts + 1 } };
}

function closeIntent(machine: SiteMachine, { intentId, phase }: InstallProgress): SiteMachine {
  const { intent } = machine;
  if (intent?.id !== intentId) return machine;
  const ends = phase === "booting" || (phase === "failed" && intent.attempts >= intent.maxAttempts);
  return ends ? { ...machine, intent: null } : machine;
}

function holdsNothing({ disks }: Inventory): boolean {
  return !disks.some(disk => disk.holdsData);
}
