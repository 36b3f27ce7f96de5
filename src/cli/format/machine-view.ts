/** The columns of `machines list` and the lines of `machines show`. */
import type { Lease, Machine } from "../../api/wire.ts";
import { formatBytes, shortDigest } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import { formatDuration } from "../../core/time.ts";
import type { Column, Tone } from "./table.ts";
import {
  formatAge,
  formatTime,
  healthText,
  isUpdating,
  machineImageText,
  machineStateText,
  macsText,
  stateReason,
  stateText,
  updateText,
} from "./words.ts";

export interface MachineViewContext {
  readonly now: EpochMs;
  readonly nameOf: (digest: string) => string;
  readonly leases: readonly Lease[];
}

export function machineColumns(view: MachineViewContext): Column<Machine>[] {
  return [
    { title: "NAME", cell: machine => machine.name },
    {
      title: "STATE",
      cell: machineStateText,
      tone: machine => (isUpdating(machine) ? "busy" : stateTone(machine.state.kind)),
    },
    { title: "IMAGE", cell: machine => machineImageText(machine, view.nameOf), dropFirst: 1 },
    { title: "SLOT", cell: machine => machine.running?.slot ?? "-", dropFirst: 5 },
    { title: "HEALTH", cell: healthText, dropFirst: 2 },
    { title: "LAST SEEN", cell: machine => formatAge(machine.lastSeenAt, view.now), dropFirst: 3 },
    { title: "ADDRESS", cell: machine => addressOf(machine, view.leases) ?? "-", dropFirst: 6 },
    { title: "MAC", cell: machine => macsText(machine.macs), dropFirst: 4 },
    { title: "SITE", cell: machine => machine.siteName, dropFirst: 7 },
  ];
}

export function machineFields(machine: Machine, view: MachineViewContext): [string, string][] {
  const { running, inventory, state } = machine;
  const reason = stateReason(state);
  return [
    ["Name", machine.name],
    ["Id", machine.id],
    ["Site", machine.siteName],
    ["State", reason === "" ? stateText(state) : `${stateText(state)}: ${reason}`],
    [
      "Image",
      running === null
        ? machineImageText(machine, view.nameOf)
        : `${machineImageText(machine, view.nameOf)} ${shortDigest(running.image)}`,
    ],
    ["Target", targetText(machine, view.nameOf)],
    [
      "Denied",
      machine.denied.map(({ image, reason }) => `${view.nameOf(image)}: ${reason}`).join("\n") || "-",
    ],
    ["Slot", slotText(machine)],
    ["Health", running === null ? "-" : healthLines(machine)],
    [
      "Boot",
      running === null
        ? "-"
        : `number ${running.bootCount}, up ${formatDuration(running.uptimeSeconds * 1000)}, id ${running.bootId}`,
    ],
    ["Agent", running?.agentVersion ?? "-"],
    ["Last seen", formatAge(machine.lastSeenAt, view.now)],
    ["Address", addressOf(machine, view.leases) ?? "-"],
    ["MACs", machine.macs.join(", ")],
    ["Hardware", inventory === null ? "not registered yet" : hardwareLines(inventory)],
    [
      "Labels",
      Object.entries(machine.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(", ") || "-",
    ],
    ["Installs", String(machine.installGeneration)],
    ["Created", formatTime(machine.createdAt)],
  ];
}

/** "app:v2 by r-1, attempt 1: updating 43%" */
export function targetText(machine: Machine, nameOf: (digest: string) => string): string {
  const { target } = machine;
  if (target === null) return "-";
  const { image, rolloutId, attempt, strategy, may } = target;
  const held = may === "nothing" ? " (paused)" : "";
  return `${nameOf(image)} by ${strategy}, rollout ${rolloutId}, attempt ${attempt}: ${updateText(machine)}${held}`;
}

function slotText({ running }: Machine): string {
  if (running === null) return "-";
  return running.slotConfirmed ? running.slot : `${running.slot}, on trial`;
}

export function stateTone(kind: string): Tone {
  if (kind === "healthy") return "good";
  if (kind === "unhealthy" || kind === "install-failed" || kind === "quarantined") return "bad";
  return kind === "assigned" || kind === "installing" || kind === "booting" ? "busy" : "plain";
}

function addressOf(machine: Machine, leases: readonly Lease[]): string | undefined {
  return leases.find(lease => machine.macs.includes(lease.mac))?.address;
}

function healthLines(machine: Machine): string {
  const results = machine.running?.health ?? [];
  return results.length === 0
    ? "no checks"
    : results
        .map(result => `${result.status}  ${result.name}${result.detail === "" ? "" : `: ${result.detail}`}`)
        .join("\n");
}

function hardwareLines(inventory: NonNullable<Machine["inventory"]>): string {
  const { dmi, cpu, disks, nics } = inventory;
  return [
    `${[dmi.vendor, dmi.product].filter(Boolean).join(" ") || "unnamed hardware"}, ${inventory.architecture}, ${inventory.firmware}`,
    `${cpu.threads} × ${cpu.model}, ${formatBytes(inventory.memoryBytes)} memory`,
    ...disks.map(disk => `${disk.path} ${formatBytes(disk.sizeBytes)} ${disk.model}`.trim()),
    ...nics.map(nic => `${nic.name} ${nic.mac} ${nic.driver}${nic.carrier ? "" : " (no carrier)"}`),
  ].join("\n");
}
