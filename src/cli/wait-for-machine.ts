/** Follows one machine until it has reached a state: events make it quick, asking again makes it certain. */
import type { Machine } from "../api/wire.ts";
import { DrpError } from "../core/errors.ts";
import { formatDuration } from "../core/time.ts";
import { Bell } from "./bell.ts";
import type { CliContext } from "./cli.ts";
import { evaluateWait, type WaitGoal, type WaitVerdict } from "./format/wait-verdict.ts";
import { findMachine } from "./machine-reference.ts";

/** Progress between two events is worth a question a second; each answer is about 2 KB. */
const POLL_MS = 1000;

/**
 * @param reference id, name or MAC; a machine that does not exist yet is waited for
 * @returns the machine as it was when it reached the goal
 * @throws {DrpError} `timed-out` with what was still missing, or `intent.conflict` with the machine's own reason
 */
export async function waitForMachine(
  context: CliContext,
  reference: string,
  goal: WaitGoal,
  timeoutMs: number,
): Promise<Machine> {
  const deadline = context.now() + timeoutMs;
  const ended = new AbortController();
  const bell = new Bell();
  const bar = context.startProgress();
  let watching: Promise<void> | undefined;
  try {
    for (;;) {
      const machine = await readMachine(context, reference);
      const verdict = machine === undefined ? NOT_SEEN : evaluateWait(machine, goal);
      if (verdict.kind === "reached" && machine !== undefined) return machine;
      if (verdict.kind === "failed") {
        throw new DrpError("intent.conflict", verdict.reason, { advice: verdict.advice });
      }
      if (verdict.kind === "waiting") bar.update(verdict.progress);
      const leftMs = deadline - context.now();
      if (leftMs <= 0) throw timedOut(machine?.name ?? reference, goal, timeoutMs, verdict);
      if (machine !== undefined) {
        const { id } = machine;
        watching ??= bell.followEvents(
          context,
          { machine: id },
          ended.signal,
          ({ machineId }) => machineId === id,
        );
      }
      await bell.wait(context, Math.min(POLL_MS, leftMs));
    }
  } finally {
    bar.stop();
    ended.abort();
    await watching;
  }
}

const NOT_SEEN: WaitVerdict = {
  kind: "waiting",
  progress: { label: "waiting for the machine to show up", doneBytes: 0, totalBytes: 0 },
  reason: "the hub knows no such machine",
};

async function readMachine(context: CliContext, reference: string): Promise<Machine | undefined> {
  try {
    return await findMachine(context, reference);
  } catch (error) {
    if (error instanceof DrpError && error.code === "machine.unknown") return undefined;
    throw error;
  }
}

function timedOut(name: string, goal: WaitGoal, timeoutMs: number, verdict: WaitVerdict): DrpError {
  const reason = "reason" in verdict ? `: ${verdict.reason}` : "";
  return new DrpError(
    "timed-out",
    `${name} was not ${goal.state} after ${formatDuration(timeoutMs)}${reason}`,
    {
      advice: `It goes on by itself. See where it stands with: drp why ${name}`,
    },
  );
}
