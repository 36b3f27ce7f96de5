/** The health checks of the running slot, as its own manifest names them. */
import { describeErrorChain } from "../../../core/errors.ts";
import type { HealthCheck } from "../../../images/manifest.ts";
import type { HealthResult } from "../../protocol.ts";
import type { RunArguments } from "../kernel-arguments.ts";
import { runHealthCheck } from "./run-health-check.ts";
import { readSlotManifest, slotManifestPath } from "./slot-manifest.ts";

export interface HealthChecks {
  readonly checks: readonly HealthCheck[];
  readonly run: () => Promise<HealthResult[]>;
}

/** A manifest that is not the booted image's is a failed check itself. */
export async function readHealthChecks(home: string, running: RunArguments): Promise<HealthChecks> {
  try {
    const { healthChecks } = await readSlotManifest(home, running);
    return { checks: healthChecks, run: () => Promise.all(healthChecks.map(runHealthCheck)) };
  } catch (error) {
    const detail = `${slotManifestPath(home, running)}: ${describeErrorChain(error)}`.slice(0, 4096);
    return { checks: [], run: async () => [{ name: "manifest", status: "fail", detail }] };
  }
}
