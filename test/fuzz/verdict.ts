/** What counts as a fault of the server under attack. */
import type { TargetReport } from "./fuzz.ts";

/** The heap of a process that only collects garbage moves by that much; a leak of 100 bytes a packet is 75 MB in a million. */
const MAX_GROWTH_MEGABYTES = 30;
/**
 * The kernel itself refuses strangers once a transfer's socket is connected, and what comes after a transfer's end. Packets
 * that are lost beyond that test nothing: then the attack is at fault.
 */
const MIN_DELIVERED_SHARE = 0.7;

/** One in a hundred may meet a busy machine; a client that asks again has waited 4 s. */
const MAX_RETRIED_SHARE = 0.01;

/** @returns a sentence for each fault; none is the aim */
export function findFaults(report: TargetReport): string[] {
  const { target, sent, delivered, exchanges, retries, growthMegabytes, alive } = report;
  const faults: string[] = [];
  if (!alive) faults.push(`${target}: the boot process is not the one that was started`);
  // A warm-up that was never reached leaves no number, which is no proof either.
  if (!(growthMegabytes <= MAX_GROWTH_MEGABYTES)) {
    faults.push(`${target}: memory grew by ${growthMegabytes.toFixed(1)} MB, over ${MAX_GROWTH_MEGABYTES}`);
  }
  if (delivered < sent * MIN_DELIVERED_SHARE) {
    faults.push(`${target}: only ${delivered} of ${sent} packets reached the server`);
  }
  if (retries > 1 && retries > exchanges * MAX_RETRIED_SHARE) {
    faults.push(`${target}: good clients had to ask ${retries} times again in ${exchanges} exchanges`);
  }
  return faults;
}
