/** How rollouts, waves and machines under way read, and how many of a wave are how far. */
import type { z } from "zod";
import type { Rollout, RolloutPlan, rolloutSchema } from "../../api/wire.ts";
import type { EpochMs } from "../../core/time.ts";
import { formatDuration } from "../../core/time.ts";
import type { Tone } from "./table.ts";
import { formatAge } from "./words.ts";

export type RolloutState = Rollout["state"];
export type WaveState = z.infer<typeof rolloutSchema>["waves"][number];
export type MachineProgress = Rollout["machines"][string];

export function isEnded({ kind }: RolloutState): boolean {
  return kind === "done" || kind === "rolled-back" || kind === "rollback-incomplete";
}

/** "running", "paused by ops 3 min ago", "rolling back: the gate of wave 1 failed: …" */
export function rolloutStateText(state: RolloutState, now: EpochMs): string {
  switch (state.kind) {
    case "paused":
      return `paused by ${state.by} ${formatAge(state.at, now)}`;
    case "done":
      return `done ${formatAge(state.at, now)}`;
    case "rolling-back":
    case "rolled-back":
    case "rollback-incomplete":
      return `${words(state.kind)}: ${state.reason}`;
    default:
      return words(state.kind);
  }
}

export function rolloutTone({ kind }: RolloutState): Tone {
  if (kind === "done") return "good";
  return kind === "running" || kind === "paused" ? "busy" : "bad";
}

/** "open for 40 s", "soaking, 20 s left", "held: no data from store-2" */
export function waveStateText(state: WaveState, now: EpochMs): string {
  switch (state.kind) {
    case "open":
      return `open for ${formatDuration(now - state.openedAt)}`;
    case "soaking":
      return state.until > now ? `soaking, ${formatDuration(state.until - now)} left` : "soaking";
    case "held":
    case "failed":
      return `${state.kind}: ${state.reason}`;
    default:
      return state.kind;
  }
}

export function waveTone({ kind }: WaveState): Tone {
  if (kind === "passed") return "good";
  if (kind === "failed") return "bad";
  return kind === "pending" ? "quiet" : "busy";
}

/** "fetching 43%", "trial", "confirmed", "going back" */
export function progressText(progress: MachineProgress): string {
  if (progress.kind === "returning") return "going back";
  if (progress.kind !== "updating") return words(progress.kind);
  const { phase, doneBytes, totalBytes } = progress;
  return doneBytes < totalBytes ? `${phase} ${Math.floor((100 * doneBytes) / totalBytes)}%` : phase;
}

export function progressTone({ kind }: MachineProgress): Tone {
  if (kind === "confirmed" || kind === "returned") return "good";
  if (kind === "failed" || kind === "fell-back") return "bad";
  return kind === "updating" || kind === "returning" ? "busy" : "quiet";
}

export function progressReason(progress: MachineProgress): string {
  return progress.kind === "failed" || progress.kind === "fell-back" ? progress.reason : "";
}

/** A machine of the plan with where it is. */
export interface MachineRow {
  readonly machineId: string;
  readonly name: string;
  readonly site: string;
  /** From 0. */
  readonly wave: number;
  readonly from: string;
  readonly progress: MachineProgress;
}

export function machineRows({ plan, machines }: Rollout): MachineRow[] {
  return plan.waves.flatMap((wave, index) =>
    wave.sites.flatMap(site =>
      site.machines.map(({ machineId, name, from }) => ({
        machineId,
        name,
        site: site.name,
        wave: index,
        from,
        progress: machines[machineId] ?? { kind: "queued" as const },
      })),
    ),
  );
}

export interface Tally {
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  readonly queued: number;
}

export function tallyOf(rows: readonly MachineRow[]): Tally {
  const count = (...kinds: MachineProgress["kind"][]) =>
    rows.filter(row => kinds.includes(row.progress.kind)).length;
  return {
    total: rows.length,
    done: count("confirmed"),
    failed: count("failed", "fell-back"),
    queued: count("queued"),
  };
}

export function machineCount(plan: RolloutPlan): number {
  return plan.waves.flatMap(wave => wave.sites).reduce((sum, site) => sum + site.machines.length, 0);
}

/** "1 machine", "3 sites" */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const words = (kind: string) => kind.replaceAll("-", " ");
