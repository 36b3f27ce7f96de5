/** What counts as a fault of the server under attack. */
import type { TargetReport } from "./fuzz.ts";

/** The heap of a process that only collects garbage moves by that much; a leak of 100 bytes a packet is 75 MB in a million. */
const MAX_GROWTH_MEGABYTES = 30;
/** A queue that overflows hides the server from the packets: then the attack, not the server, is at fault. */
const MAX_OVERFLOWED_SHARE = 0.01;

/** @returns a sentence for each fault; none is the aim */
export function findFaults(report: TargetReport): string[] {
  const { target, sent, growthMegabytes, alive, overflowed } = report;
  const faults: string[] = [];
  if (!alive) faults.push(`${target}: the boot process is not the one that was started`);
  // A warm-up that was never reached leaves no number, which is no proof either.
  if (!(growthMegabytes <= MAX_GROWTH_MEGABYTES)) {
    faults.push(`${target}: memory grew by ${growthMegabytes.toFixed(1)} MB, over ${MAX_GROWTH_MEGABYTES}`);
  }
  if (overflowed > sent * MAX_OVERFLOWED_SHARE) {
    faults.push(`${target}: ${overflowed} of ${sent} packets never reached the server`);
  }
  return faults;
}
