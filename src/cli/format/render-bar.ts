/** One line of progress that fits the terminal. */
import { formatBytes } from "../../core/bytes.ts";
import { formatDuration } from "../../core/time.ts";
import type { BarProgress } from "../cli.ts";
import { printable } from "./table.ts";

const WIDEST_BAR = 30;
const NARROWEST_BAR = 5;

/** "writing  ████████░░░░░░░  53%  41.0 MiB/s  3 s left" */
export function renderBar(
  progress: BarProgress & { readonly rate: number | undefined },
  widthColumns: number,
): string {
  const { doneBytes, totalBytes, rate } = progress;
  const label = printable(progress.label);
  if (totalBytes === 0) return label.slice(0, widthColumns - 1);
  const share = Math.min(1, doneBytes / totalBytes);
  const parts = [`${Math.floor(share * 100)}%`.padStart(4)];
  if (rate !== undefined && share < 1) {
    parts.push(`${formatBytes(rate)}/s`);
    if (rate > 0) parts.push(`${formatDuration(((totalBytes - doneBytes) / rate) * 1000)} left`);
  }
  const words = [label, ...parts].join("  ");
  const barWidth = Math.min(WIDEST_BAR, widthColumns - words.length - 3);
  if (barWidth < NARROWEST_BAR) return words.slice(0, widthColumns - 1);
  const filled = Math.round(share * barWidth);
  return [label, "█".repeat(filled) + "░".repeat(barWidth - filled), ...parts].join("  ");
}
