/** Follows one rollout until it has ended: events make it quick, asking again makes it certain. */
import type { Event, Rollout } from "../api/wire.ts";
import { rolloutSchema } from "../api/wire.ts";
import { DrpError } from "../core/errors.ts";
import { formatDuration } from "../core/time.ts";
import { Bell } from "./bell.ts";
import type { CliContext } from "./cli.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { rolloutPath } from "./find-rollout.ts";
import { isEnded, rolloutStateText } from "./format/rollout-words.ts";

/** Bytes that a machine has written are no events. */
const POLL_MS = 1000;

/**
 * @param show called at each look, the last time with the ended rollout
 * @param timeoutMs Infinity: for as long as it takes
 * @returns the ended rollout; undefined when a person pressed Ctrl-C
 * @throws {DrpError} `timed-out` with where the rollout stood
 */
export async function followRollout(
  context: CliContext,
  first: Rollout,
  show: (rollout: Rollout) => void,
  timeoutMs: number,
): Promise<Rollout | undefined> {
  const deadline = context.now() + timeoutMs;
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, context.interrupted]);
  const bell = new Bell();
  context.interrupted.addEventListener("abort", () => bell.strike(), { signal: ended.signal });
  const watching = bell.followEvents(context, {}, signal, event => concerns(event, first));
  try {
    for (let rollout = first; ; ) {
      show(rollout);
      if (isEnded(rollout.state)) return rollout;
      const leftMs = deadline - context.now();
      if (leftMs <= 0) throw timedOut(context, rollout, timeoutMs);
      await bell.wait(context, Math.min(POLL_MS, leftMs));
      if (context.interrupted.aborted) return undefined;
      rollout = await context.api().get(rolloutPath(first.id), rolloutSchema);
    }
  } finally {
    ended.abort();
    await watching;
  }
}

function concerns({ machineId, facts }: Event, { id, machines }: Rollout): boolean {
  return facts.rollout === id || (machineId !== null && machineId in machines);
}

function timedOut(context: CliContext, { id, state }: Rollout, timeoutMs: number): DrpError {
  return new DrpError(
    "timed-out",
    `${id} had not ended after ${formatDuration(timeoutMs)}: ${rolloutStateText(state, context.now())}`,
    { advice: `It goes on by itself. See where it stands with: drp rollout status ${id}` },
  );
}

/** Only a rollout that is done everywhere is a success. */
export function exitCodeOfEnd({ state }: Rollout): ExitCode {
  return state.kind === "done" ? EXIT.done : EXIT.failed;
}
