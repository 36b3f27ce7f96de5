/** How machines, images and times read in one table cell. */

import type { Image, Machine } from "../../api/wire.ts";
import { shortDigest } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import { formatDuration } from "../../core/time.ts";

/** "12 s ago"; "in 4 min" for times ahead; "never" for none. */
export function formatAge(at: EpochMs | null, now: EpochMs): string {
  if (at === null) return "never";
  if (at > now + 999) return `in ${formatDuration(at - now)}`;
  return now - at < 1000 ? "now" : `${formatDuration(now - at)} ago`;
}

/** "2026-03-01 12:00:07Z": sorts as text and names its zone. */
export function formatTime(at: EpochMs): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")}Z`;
}

/** 0 … 100; undefined while nothing can be measured. */
function installPercent(state: Machine["state"]): number | undefined {
  if (state.kind !== "installing" || state.totalBytes === 0) return undefined;
  return Math.min(100, Math.floor((100 * state.doneBytes) / state.totalBytes));
}

/** "installing 43%", "healthy". A newer hub's state shows as it is. */
export function stateText(state: Machine["state"]): string {
  const percent = installPercent(state);
  return percent === undefined ? state.kind : `${state.kind} ${percent}%`;
}

/** "updating 43%", "armed", "trial": how far a machine is with what a rollout wants; empty while none wants anything. */
export function updateText({ target, running }: Machine): string {
  if (target === null) return "";
  const report = running?.update;
  if (report?.rolloutId !== target.rolloutId || report.attempt !== target.attempt) return "updating";
  const { phase, doneBytes, totalBytes } = report;
  if (phase !== "fetching") return phase;
  return totalBytes === 0 ? "updating" : `updating ${Math.floor((100 * doneBytes) / totalBytes)}%`;
}

/** The state, or how far the machine is on its way from one healthy state to the next. */
export function machineStateText(machine: Machine): string {
  return isUpdating(machine) ? updateText(machine) : stateText(machine.state);
}

/** A machine that needs attention says that first, whatever a rollout wants of it. */
export function isUpdating(machine: Machine): boolean {
  const phase = updateText(machine);
  const isOver = phase === "" || phase === "confirmed" || phase === "fell-back" || phase === "failed";
  return machine.state.kind === "healthy" && !isOver;
}

/** The sentence behind a state: why it failed, or what the machine waits for. Empty when there is nothing to add. */
export function stateReason(state: Machine["state"]): string {
  switch (state.kind) {
    case "expected":
      return "entered by hand; never seen on the network";
    case "discovered":
      return "registered from the ramdisk; nothing assigned yet";
    case "assigned":
      return "an install waits for the machine's next network boot";
    case "installing":
      return state.phase;
    case "booting":
      return "the image is written and read back; waiting for its first heartbeat";
    case "unhealthy":
    case "install-failed":
    case "quarantined":
      return state.reason;
    default:
      return "";
  }
}

/** Names for digests: NAME:VERSION where the hub has the image, the short digest otherwise. */
export function imageNamer(images: readonly Image[]): (digest: string) => string {
  const names = new Map(images.map(image => [image.digest as string, `${image.name}:${image.version}`]));
  return digest => names.get(digest) ?? shortDigest(digest);
}

/** What runs, or "→ app:v2" for what is on its way. */
export function machineImageText(machine: Machine, nameOf: (digest: string) => string): string {
  const { state, running } = machine;
  if (state.kind === "assigned" || state.kind === "installing") return `→ ${nameOf(state.intent.image)}`;
  if (state.kind === "booting") return `→ ${nameOf(state.image)}`;
  if (isUpdating(machine) && machine.target !== null) return `→ ${nameOf(machine.target.image)}`;
  return running === null ? "-" : (running.imageName ?? shortDigest(running.image));
}

/** "3/3 pass", or the names of the checks that do not. */
export function healthText(machine: Machine): string {
  const health = machine.running?.health ?? [];
  if (machine.running === null) return "-";
  if (health.length === 0) return "no checks";
  const failing = health.filter(result => result.status !== "pass");
  if (failing.length === 0) return `${health.length}/${health.length} pass`;
  return failing.map(result => `${result.name}: ${result.status}`).join(", ");
}

/** "52:54:00:12:34:56 +1" */
export function macsText(macs: readonly string[]): string {
  const [first = "-", ...rest] = macs;
  return rest.length === 0 ? first : `${first} +${rest.length}`;
}
