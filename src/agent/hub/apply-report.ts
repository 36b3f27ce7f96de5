/**
 * What one report of a site changes in one machine's record, and which lines it adds to the timeline. Knows no storage:
 * whoever calls it saves the result by compare-and-set on the revision, and asks again when that fails.
 */
import { shortDigest } from "../../core/bytes.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { EpochMs } from "../../core/time.ts";
import { judgeHeartbeat } from "../heartbeat-order.ts";
import type { Heartbeat, InstallProgress } from "../protocol.ts";
import type { SiteReport } from "../site/view.ts";
import { type MachineEvent, machineEvent } from "./machine-event.ts";
import type { InstallIntent, MachineRecord, MachineState } from "./machine-record.ts";
import { openIntent } from "./machine-record.ts";

/** Reports that concern one machine's record; the others only add to the timeline. */
export type MachineReport = Exclude<
  SiteReport,
  { kind: "boot-event" } | { kind: "image-event" } | { kind: "token-replayed" }
>;
type Registration = Extract<SiteReport, { kind: "machine-registered" }>;

export interface AppliedReport {
  /** Undefined: nothing to save. A new machine has revision 1; a changed one has one more than before. */
  readonly machine: MachineRecord | undefined;
  readonly events: readonly MachineEvent[];
}

const NOTHING: AppliedReport = { machine: undefined, events: [] };

/** @param machine the record as it is now; undefined when the fleet does not know this machine id */
export function applySiteReport(
  machine: MachineRecord | undefined,
  report: MachineReport,
  siteId: string,
): AppliedReport {
  if (report.kind === "machine-registered") {
    return machine === undefined ? discover(report, siteId) : register(machine, report);
  }
  if (machine === undefined) return NOTHING;
  return report.kind === "heartbeat"
    ? applyHeartbeat(machine, report.heartbeat, report.at)
    : applyProgress(machine, report.progress, report.at);
}

/** As Digital Rebar names what it discovers: "d52-54-00-12-34-56". */
export function nameDiscovered(mac: MacAddress): string {
  return `d${mac.replaceAll(":", "-")}`;
}

function discover(report: Registration, siteId: string): AppliedReport {
  const machine: MachineRecord = {
    id: report.machineId,
    siteId,
    name: nameDiscovered(report.bootMac),
    macs: [report.bootMac],
    labels: {},
    inventory: report.inventory,
    keyFingerprint: report.keyFingerprint,
    installGeneration: 0,
    state: { kind: "discovered" },
    running: null,
    target: null,
    denied: [],
    createdAt: report.at,
    updatedAt: report.at,
    lastSeenAt: report.at,
    revision: 1,
  };
  return { machine, events: [registeredEvent(machine, report, "is new and waits for an order")] };
}

function register(machine: MachineRecord, report: Registration): AppliedReport {
  const intent = openIntent(machine.state);
  if (report.intentId !== null && intent?.id !== report.intentId) return NOTHING;
  const state: MachineState =
    report.intentId !== null && intent !== undefined
      ? {
          kind: "installing",
          intent: { ...intent, attempts: intent.attempts + 1 },
          phase: "starting",
          doneBytes: 0,
          totalBytes: 0,
        }
      : machine.state.kind === "expected"
        ? { kind: "discovered" }
        : machine.state;
  const next = changed(machine, report.at, {
    inventory: report.inventory,
    keyFingerprint: report.keyFingerprint,
    lastSeenAt: report.at,
    state,
  });
  const why =
    state.kind === "installing"
      ? `begins install attempt ${state.intent.attempts} of ${state.intent.maxAttempts}`
      : "registered and waits for an order";
  return { machine: next, events: [registeredEvent(next, report, why)] };
}

function registeredEvent(machine: MachineRecord, report: Registration, why: string): MachineEvent {
  const { architecture, firmware, cpu } = report.inventory;
  return machineEvent(machine, report.at, {
    kind: "machine.registered",
    severity: "info",
    summary: `${machine.name} ${why} (${architecture}, ${firmware})`,
    facts: { bootId: report.bootId, key: report.keyFingerprint, cpu: cpu.model, threads: cpu.threads },
  });
}

function applyProgress(machine: MachineRecord, progress: InstallProgress, at: EpochMs): AppliedReport {
  if (machine.state.kind !== "installing" || machine.state.intent.id !== progress.intentId) return NOTHING;
  const { intent } = machine.state;
  switch (progress.phase) {
    case "failed":
      return installFailed(machine, intent, progress.message, at);
    case "booting":
      return {
        machine: changed(machine, at, { state: { kind: "booting", image: intent.image }, lastSeenAt: at }),
        events: [
          machineEvent(machine, at, {
            kind: "install.written",
            severity: "info",
            summary: `${shortDigest(intent.image)} is on the disk, read back and equal; the machine restarts from it`,
            facts: { intent: intent.id, bytes: progress.totalBytes },
          }),
        ],
      };
    default: {
      const { phase, doneBytes, totalBytes } = progress;
      const next = changed(machine, at, {
        state: { kind: "installing", intent, phase, doneBytes, totalBytes },
        lastSeenAt: at,
      });
      const began = machine.state.phase !== phase;
      return {
        machine: next,
        events: began
          ? [
              machineEvent(machine, at, {
                kind: `install.${phase}`,
                severity: "info",
                summary: `${machine.name}: ${phase}`,
                facts: { intent: intent.id, totalBytes },
              }),
            ]
          : [],
      };
    }
  }
}

/** A failed attempt keeps the intent while it has attempts left: the machine restarts and tries again by itself. */
function installFailed(
  machine: MachineRecord,
  intent: InstallIntent,
  message: string,
  at: EpochMs,
): AppliedReport {
  const last = intent.attempts >= intent.maxAttempts;
  const state: MachineState = last
    ? { kind: "install-failed", reason: message }
    : { kind: "assigned", intent };
  return {
    machine: changed(machine, at, { state, lastSeenAt: at }),
    events: [
      machineEvent(machine, at, {
        kind: "install.failed",
        severity: last ? "alarm" : "warning",
        summary: `attempt ${intent.attempts} of ${intent.maxAttempts} failed: ${message}`,
        facts: { intent: intent.id, attempt: intent.attempts },
      }),
    ],
  };
}

function applyHeartbeat(machine: MachineRecord, heartbeat: Heartbeat, at: EpochMs): AppliedReport {
  if (machine.state.kind === "quarantined") return NOTHING;
  const verdict = judgeHeartbeat(machine.running, heartbeat);
  if (verdict.kind === "stale") return NOTHING;
  if (verdict.kind === "clone") {
    return {
      machine: changed(machine, at, { state: { kind: "quarantined", reason: verdict.reason } }),
      events: [
        machineEvent(machine, at, {
          kind: "machine.quarantined",
          severity: "alarm",
          summary: verdict.reason,
          facts: { bootId: heartbeat.bootId },
        }),
      ],
    };
  }
  const state = stateAfterHeartbeat(machine, heartbeat);
  const { image, slot, bootId, installGeneration, bootCount, seq, uptimeSeconds, agentVersion, health } =
    heartbeat;
  const next = changed(machine, at, {
    state,
    running: {
      image,
      slot,
      bootId,
      installGeneration,
      bootCount,
      seq,
      uptimeSeconds,
      agentVersion,
      health,
      slotConfirmed: heartbeat.slotConfirmed,
      update: heartbeat.update,
      receivedAt: at,
    },
    lastSeenAt: at,
  });
  return { machine: next, events: heartbeatEvents(machine, next, heartbeat, at) };
}

/** An open order outlives heartbeats of the system that it replaces, and ends with the first one of its own install. */
function stateAfterHeartbeat(machine: MachineRecord, heartbeat: Heartbeat): MachineState {
  const intent = openIntent(machine.state);
  if (intent !== undefined && heartbeat.installGeneration < intent.installGeneration) return machine.state;
  const failing = heartbeat.health.filter(check => check.status === "fail");
  if (failing.length === 0) return { kind: "healthy" };
  return { kind: "unhealthy", reason: failing.map(check => `${check.name}: ${check.detail}`).join("; ") };
}

function heartbeatEvents(
  before: MachineRecord,
  after: MachineRecord,
  heartbeat: Heartbeat,
  at: EpochMs,
): MachineEvent[] {
  const events: MachineEvent[] = [];
  if (before.running?.bootId !== heartbeat.bootId) {
    events.push(
      machineEvent(after, at, {
        kind: "machine.booted",
        severity: "info",
        summary: `${after.name} runs ${shortDigest(heartbeat.image)} from slot ${heartbeat.slot}`,
        facts: {
          bootId: heartbeat.bootId,
          image: heartbeat.image,
          slot: heartbeat.slot,
          bootCount: heartbeat.bootCount,
        },
      }),
    );
  }
  if (after.state.kind !== before.state.kind && after.state.kind === "healthy") {
    events.push(
      machineEvent(after, at, {
        kind: "machine.healthy",
        severity: "info",
        summary: `${after.name} is healthy: ${heartbeat.health.filter(check => check.status === "pass").length} of ${heartbeat.health.length} checks pass`,
        facts: { bootId: heartbeat.bootId },
      }),
    );
  }
  if (after.state.kind === "unhealthy" && before.state.kind !== "unhealthy") {
    events.push(
      machineEvent(after, at, {
        kind: "machine.unhealthy",
        severity: "alarm",
        summary: `${after.name} is unhealthy: ${after.state.reason}`,
        facts: { bootId: heartbeat.bootId },
      }),
    );
  }
  return events;
}

function changed(machine: MachineRecord, at: EpochMs, change: Partial<MachineRecord>): MachineRecord {
  return { ...machine, ...change, updatedAt: at, revision: machine.revision + 1 };
}
