/** Follows one machine until it has reached a state: events make it quick, asking again makes it certain. */
import { type Machine, machineSchema } from "../api/wire.ts";
import { DrpError } from "../core/errors.ts";
import { formatDuration } from "../core/time.ts";
import type { CliContext } from "./cli.ts";
import { evaluateWait, type WaitGoal } from "./format/wait-verdict.ts";

/** Progress between two events is worth a question a second; each answer is about 2 KB. */
const POLL_MS = 1000;

/**
 * @returns the machine as it was when it reached the goal
 * @throws {DrpError} `timed-out` with what was still missing, or `intent.conflict` with the machine's own reason
 */
export async function waitForMachine(
  context: CliContext,
  machineId: string,
  goal: WaitGoal,
  timeoutMs: number,
): Promise<Machine> {
  const api = context.api();
  const startedAt = context.now();
  const ended = new AbortController();
  const bell = new Bell();
  const watching = ringOnEvents(context, machineId, ended.signal, bell);
  const bar = context.startProgress();
  try {
    for (;;) {
      const machine = await api.get(`/machines/${encodeURIComponent(machineId)}`, machineSchema);
      const verdict = evaluateWait(machine, goal, context.now());
      if (verdict.kind === "reached") return machine;
      if (verdict.kind === "failed")
        throw new DrpError("intent.conflict", verdict.reason, { advice: verdict.advice });
      bar.update(verdict.progress);
      const leftMs = timeoutMs - (context.now() - startedAt);
      if (leftMs <= 0) {
        throw new DrpError(
          "timed-out",
          `${machine.name} was not ${goal.state} after ${formatDuration(timeoutMs)}: ${verdict.reason}`,
          { advice: `It goes on by itself. See where it stands with: drp why ${machine.name}` },
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

/** Wakes the one who waits; rings that nobody waited for are kept. */
class Bell {
  private ring = new AbortController();

  strike(): void {
    this.ring.abort();
  }

  async wait(context: CliContext, durationMs: number): Promise<void> {
    await context.sleep(durationMs, this.ring.signal);
    this.ring = new AbortController();
  }
}

/** Without a stream the questions above still find the end, a second later. */
async function ringOnEvents(
  context: CliContext,
  machineId: string,
  signal: AbortSignal,
  bell: Bell,
): Promise<void> {
  try {
    for await (const event of context.api().watchEvents({ machine: machineId }, signal)) {
      if (event.machineId === machineId) bell.strike();
    }
  } catch {
    return;
  }
}
