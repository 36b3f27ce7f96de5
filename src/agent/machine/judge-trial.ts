/** When a trial boot is proven, and when it is over: the machine's own verdict, which needs nobody's clock but its own. */
import type { HealthCheck } from "../../images/manifest.ts";
import type { HealthResult } from "../protocol.ts";

/** From the kernel's start: firmware is done by then; services, the network and the first heartbeat are not. */
const BASE_DEADLINE_SECONDS = 120;
/** A service that is just starting may fail a check or two. */
const MAX_FAILURES_IN_A_ROW = 3;

export interface TrialEvidence {
  readonly health: readonly HealthResult[];
  /** Rounds of checks, this one included, that did not all pass. */
  readonly failuresInARow: number;
}

/** After the kernel's start; a check that may take long gets its time. */
export function trialDeadlineSeconds(checks: readonly HealthCheck[]): number {
  return BASE_DEADLINE_SECONDS + Math.max(0, ...checks.map(check => check.timeoutSeconds));
}

/** Why the trial has failed; null while it may still pass. */
export function trialFailure({ health, failuresInARow }: TrialEvidence): string | null {
  if (failuresInARow < MAX_FAILURES_IN_A_ROW) return null;
  return `${describeFailures(health)} (${failuresInARow} times in a row)`;
}

/** Why a trial that has reached its deadline is over. */
export function lateTrialFailure(health: readonly HealthResult[] | null, deadlineSeconds: number): string {
  const what =
    health === null
      ? "its health checks did not end"
      : allPass(health)
        ? "the site acknowledged no heartbeat"
        : describeFailures(health);
  return `${what} within ${deadlineSeconds} s`;
}

export function allPass(health: readonly HealthResult[]): boolean {
  return health.every(({ status }) => status === "pass");
}

function describeFailures(health: readonly HealthResult[]): string {
  const failed = health.filter(({ status }) => status !== "pass");
  return failed.map(({ name, detail }) => `health check ${name}: ${detail}`).join("; ");
}
