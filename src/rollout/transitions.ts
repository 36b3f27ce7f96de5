/** Which state may follow which: one table for each level. Everything that changes a state asks here first. */
import type { MachineProgress, RolloutState, WaveState } from "./rollout-record.ts";

type Table<Kind extends string> = Readonly<Record<Kind, readonly Kind[]>>;

export const ROLLOUT_TRANSITIONS: Table<RolloutState["kind"]> = {
  running: ["paused", "rolling-back", "done"],
  paused: ["running", "rolling-back"],
  "rolling-back": ["rolled-back", "rollback-incomplete"],
  done: [],
  "rolled-back": [],
  "rollback-incomplete": [],
};

export const WAVE_TRANSITIONS: Table<WaveState["kind"]> = {
  pending: ["open"],
  open: ["soaking", "held", "failed"],
  soaking: ["held", "passed", "failed"],
  // To itself: held for another reason than before.
  held: ["held", "open", "failed"],
  passed: [],
  failed: [],
};

export const MACHINE_TRANSITIONS: Table<MachineProgress["kind"]> = {
  // Confirmed at once: it came to run the image by another way since the plan was made. Failed: it is gone, or denied.
  queued: ["updating", "confirmed", "failed", "untouched"],
  // To itself: another phase, or a second attempt after a power cut.
  updating: ["updating", "confirmed", "fell-back", "failed", "returning"],
  confirmed: ["failed", "returning"],
  "fell-back": ["returning", "returned"],
  failed: ["returning", "untouched"],
  returning: ["returned"],
  returned: [],
  untouched: [],
};

/** @throws {Error} naming both states: a pair that the table lacks is a mistake in the engine, not in its input */
export function requireTransition<Kind extends string>(
  table: Table<Kind>,
  what: string,
  from: Kind,
  to: Kind,
): void {
  if (!table[from].includes(to)) throw new Error(`${what} may not go from ${from} to ${to}`);
}
