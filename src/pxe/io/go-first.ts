/** The processor's time for this process before others: a machine waits seconds for its address; images and hashes can wait. */
import { readdirSync } from "node:fs";
import { constants, setPriority } from "node:os";

/**
 * By some steps only: a flood of packets must not take the hub's whole processor. All threads, because the main one waits for those that collect its garbage: raised alone, it was held up for half a second by
 * what they waited for. Without the right to it, nothing changes.
 */
export function goFirst(): void {
  try {
    for (const thread of readdirSync("/proc/self/task")) {
      setPriority(Number(thread), constants.priority.PRIORITY_ABOVE_NORMAL);
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
  }
}
