/** One line of an install's progress, for whoever stands before the machine's screen. */
import { formatBytes } from "../../core/bytes.ts";
import { formatDuration } from "../../core/time.ts";
import type { InstallProgress } from "../protocol.ts";

/**
 * "writing 512 MiB of 1.0 GiB (50 %), 310 MiB/s, 2 s left"
 *
 * @param rate bytes a second; undefined while it is not known
 */
export function describeProgress(
  { phase, doneBytes, totalBytes }: Pick<InstallProgress, "phase" | "doneBytes" | "totalBytes">,
  rate: number | undefined,
): string {
  if ((phase !== "writing" && phase !== "verifying") || totalBytes === 0) return phase;
  const percent = Math.floor((100 * doneBytes) / totalBytes);
  const line = `${phase} ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} (${percent} %)`;
  if (rate === undefined || rate === 0 || doneBytes === totalBytes) return line;
  return `${line}, ${formatBytes(rate)}/s, ${formatDuration(((totalBytes - doneBytes) / rate) * 1000)} left`;
}
