/** The most memory that this process has held. */
import { readFileSync } from "node:fs";

/** Not process.resourceUsage().maxRSS: on Linux that begins with what the process that started this one held (getrusage(2)). */
export function peakMemoryBytes(): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  if (kilobytes === undefined) throw new Error("the kernel tells no VmHWM");
  return Number(kilobytes) * 1024;
}
