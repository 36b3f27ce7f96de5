/** The health checks of the running slot, as its own manifest names them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeErrorChain } from "../../../core/errors.ts";
import { imageDigest } from "../../../images/digest.ts";
import { type HealthCheck, manifestSchema } from "../../../images/manifest.ts";
import type { HealthResult } from "../../protocol.ts";
import type { RunArguments } from "../kernel-arguments.ts";
import { runHealthCheck } from "./run-health-check.ts";

export interface HealthChecks {
  readonly checks: readonly HealthCheck[];
  readonly run: () => Promise<HealthResult[]>;
}

/** A manifest that is not the booted image's is a failed check itself. */
export async function readHealthChecks(home: string, { slot, image }: RunArguments): Promise<HealthChecks> {
  const path = join(home, "slots", slot, "manifest.json");
  try {
    const text = await readFile(path, "utf8");
    if (imageDigest(text) !== image)
      throw new Error(`it describes ${imageDigest(text)}, and ${image} is running`);
    const { healthChecks } = manifestSchema.parse(JSON.parse(text));
    return { checks: healthChecks, run: () => Promise.all(healthChecks.map(runHealthCheck)) };
  } catch (error) {
    const detail = `${path}: ${describeErrorChain(error)}`.slice(0, 4096);
    return { checks: [], run: async () => [{ name: "manifest", status: "fail", detail }] };
  }
}
