/** How the page says where a rollout is, in sentences that somebody woken at night understands. */
import type { Rollout } from "../api/wire.ts";
import { formatDuration } from "../core/time.ts";
import { age, sentence, stateLabel, type Tone } from "./words.ts";

export type MachineProgress = Rollout["machines"][string];
export type WaveState = Rollout["waves"][number];
export type PlannedSite = Rollout["plan"]["waves"][number]["sites"][number];

export function isEnded({ kind }: Rollout["state"]): boolean {
  return kind === "done" || kind === "rolled-back" || kind === "rollback-incomplete";
}

export function rolloutTone({ kind }: Rollout["state"]): Tone {
  if (kind === "done") return "good";
  return kind === "running" || kind === "paused" ? "busy" : "bad";
}

/** What is going on, why, and what comes next. */
export function explainRollout(rollout: Rollout, now: number): string {
  const { state, machines } = rollout;
  const all = Object.values(machines);
  const count = (...kinds: MachineProgress["kind"][]) =>
    all.filter(({ kind }) => kinds.includes(kind)).length;
  const proven = `${count("returned", "untouched")} of ${all.length} machines`;
  switch (state.kind) {
    case "paused":
      return `Paused by ${state.by} ${age(state.at, now)}. Until it is resumed nothing is fetched, written or rebooted.`;
    case "done":
      return `${count("confirmed")} of ${all.length} machines confirmed, the last one ${age(state.at, now)}.`;
    case "rolling-back":
      return `${stop(state.reason)} Going back by itself: ${proven} proven on what they ran before.`;
    case "rolled-back":
      return `${stop(state.reason)} Undone: ${proven} proven on what they ran before.`;
    case "rollback-incomplete":
      return `${stop(state.reason)} Only ${proven} are proven on what they ran before: the others need a person.`;
    default:
      return explainWaves(rollout, now);
  }
}

function explainWaves({ waves }: Rollout, now: number): string {
  const index = waves.findIndex(({ kind }) => kind !== "passed");
  const wave = waves[index];
  if (wave === undefined) return "Every wave has passed.";
  const name = `Wave ${index + 1} of ${waves.length}`;
  switch (wave.kind) {
    case "open":
      return `${name} has been open for ${formatDuration(now - wave.openedAt)}: in each site one machine is updated after another.`;
    case "soaking":
      return `${name} is updated; its health is watched for another ${formatDuration(wave.until - now)}.`;
    case "held":
      return `${name} is held, neither passed nor failed: ${stop(wave.reason)}`;
    case "failed":
      return `${name} failed: ${stop(wave.reason)}`;
    default:
      return `${name} is about to open.`;
  }
}

export function waveTone({ kind }: WaveState): Tone {
  if (kind === "passed") return "good";
  if (kind === "failed") return "bad";
  return kind === "pending" ? "quiet" : "busy";
}

export function progressTone({ kind }: MachineProgress): Tone {
  if (kind === "confirmed" || kind === "returned") return "good";
  if (kind === "failed" || kind === "fell-back") return "bad";
  return kind === "updating" || kind === "returning" ? "busy" : "quiet";
}

/** "fetching 43%", "trial boot", "confirmed", "going back" */
export function progressLabel(progress: MachineProgress): string {
  if (progress.kind === "returning") return "going back";
  if (progress.kind !== "updating") return stateLabel(progress.kind);
  const percent = percentOf(progress);
  const phase = PHASES[progress.phase] ?? progress.phase;
  return percent === undefined || percent === 100 ? phase : `${phase} ${percent}%`;
}

const PHASES: Readonly<Record<string, string>> = {
  written: "written, read back",
  armed: "about to reboot",
  trial: "trial boot",
};

/** Of the image's bytes, 0 … 100; undefined while nothing can be measured. */
export function percentOf(progress: MachineProgress): number | undefined {
  if (progress.kind !== "updating" || progress.totalBytes === 0) return undefined;
  return Math.floor((100 * progress.doneBytes) / progress.totalBytes);
}

/** The machine has its end, one way or the other. */
export function isSettled({ kind }: MachineProgress): boolean {
  return kind !== "queued" && kind !== "updating" && kind !== "returning";
}

/** "1 machine", "3 sites" */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function stop(reason: string): string {
  return /[.!?]$/.test(reason) ? sentence(reason) : `${sentence(reason)}.`;
}
