/** What is new in a rollout since the last look, a sentence each: the lines of `rollout watch` where nothing can be redrawn. */
import type { Rollout } from "../../api/wire.ts";
import type { EpochMs } from "../../core/time.ts";
import {
  type MachineProgress,
  machineRows,
  progressReason,
  progressText,
  progressTone,
  rolloutStateText,
  rolloutTone,
  waveStateText,
  waveTone,
} from "./rollout-words.ts";
import type { Tone } from "./table.ts";

export interface ChangeLine {
  readonly tone: Tone;
  readonly text: string;
}

/** @param before undefined at the first look: everything that has begun is new */
export function rolloutChanges(before: Rollout | undefined, after: Rollout, now: EpochMs): ChangeLine[] {
  const changed = after.waves.flatMap((wave, index) =>
    (before?.waves[index]?.kind ?? "pending") === wave.kind ? [] : [{ wave, index }],
  );
  const lineOf = ({ wave, index }: (typeof changed)[number]): ChangeLine => {
    // How long it has been open says nothing in a line that stays.
    const words = wave.kind === "open" ? "open" : waveStateText(wave, now);
    return { tone: waveTone(wave), text: `wave ${index + 1} of ${after.waves.length}: ${words}` };
  };
  // A wave opens before its machines move, and ends after them.
  const opened = changed.filter(({ wave }) => wave.kind === "open").map(lineOf);
  const ended = changed.filter(({ wave }) => wave.kind !== "open").map(lineOf);
  const state = before?.state.kind === after.state.kind ? [] : [stateLine(after, now)];
  return before === undefined
    ? [...state, ...opened, ...machineLines(before, after), ...ended]
    : [...opened, ...machineLines(before, after), ...ended, ...state];
}

function stateLine({ id, plan, state }: Rollout, now: EpochMs): ChangeLine {
  return { tone: rolloutTone(state), text: `${id} ${plan.imageName}: ${rolloutStateText(state, now)}` };
}

function machineLines(before: Rollout | undefined, after: Rollout): ChangeLine[] {
  return machineRows(after).flatMap(({ machineId, name, site, progress }) => {
    if (stepOf(before?.machines[machineId] ?? { kind: "queued" }) === stepOf(progress)) return [];
    const reason = progressReason(progress);
    const text = `${site}/${name}: ${stepText(progress)}${reason === "" ? "" : `: ${reason}`}`;
    return [{ tone: progressTone(progress), text }];
  });
}

/** Bytes come and go: only another phase or another attempt is news. */
function stepOf(progress: MachineProgress): string {
  const attempt = "attempt" in progress ? progress.attempt : 0;
  return `${progress.kind} ${attempt} ${progress.kind === "updating" ? progress.phase : ""}`;
}

function stepText(progress: MachineProgress): string {
  if (progress.kind === "updating") return progress.phase;
  const words = progressText(progress);
  return "bootId" in progress ? `${words} (boot ${progress.bootId})` : words;
}
