/** How the page says what the hub knows. */
import type { Machine } from "../api/wire.ts";
import { formatDuration } from "../core/time.ts";

export type Tone = "good" | "bad" | "busy" | "quiet";

export function stateTone(kind: string): Tone {
  if (kind === "healthy") return "good";
  if (needsAttention(kind)) return "bad";
  return isInFlight(kind) || kind === "updating" ? "busy" : "quiet";
}

export function needsAttention(kind: string): boolean {
  return kind === "unhealthy" || kind === "install-failed" || kind === "quarantined";
}

export function isInFlight(kind: string): boolean {
  return kind === "assigned" || kind === "installing" || kind === "booting";
}

export function stateLabel(kind: string): string {
  return kind.replaceAll("-", " ");
}

/** On its way from one healthy state to the next, as a rollout wants it. */
export function isUpdating({ state, target, running }: Machine): boolean {
  if (target === null || state.kind !== "healthy") return false;
  const report = running?.update;
  const isOver = report?.phase === "confirmed" || report?.phase === "fell-back" || report?.phase === "failed";
  return report?.rolloutId !== target.rolloutId || report.attempt !== target.attempt || !isOver;
}

/** Why the machine is in its state, or what it waits for. */
export function stateReason(state: Machine["state"]): string {
  switch (state.kind) {
    case "expected":
      return "Entered by hand; never seen on the network.";
    case "discovered":
      return "Registered from the ramdisk; nothing assigned yet.";
    case "assigned":
      return "Waiting for its next network boot.";
    case "installing":
      return sentence(state.phase);
    case "booting":
      return "Image written and verified; waiting for its first heartbeat.";
    case "unhealthy":
    case "install-failed":
    case "quarantined":
      return state.reason;
    default:
      return "";
  }
}

export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function healthLabel(machine: Machine): string {
  if (machine.running === null) return "–";
  const { health } = machine.running;
  const passed = health.filter(result => result.status === "pass").length;
  return health.length === 0 ? "no checks" : `${passed} of ${health.length}`;
}

export function age(at: number | null, now: number): string {
  if (at === null) return "never";
  return now - at < 5000 ? "just now" : `${formatDuration(roundedAge(now - at))} ago`;
}

/** Seconds matter in the first minutes only: a page that counts them for ever is never calm. */
function roundedAge(durationMs: number): number {
  const step = durationMs < 120_000 ? 5000 : 60_000;
  return Math.floor(durationMs / step) * step;
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString(undefined, { hourCycle: "h23" });
}

export function dayAndTime(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
