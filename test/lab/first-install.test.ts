import { expect, test } from "vitest";
import { firstInstall } from "./first-install.ts";
import { missingForLab } from "./missing-for-lab.ts";
import { Timeline } from "./timeline.ts";

const missing = missingForLab();
if (missing !== undefined) console.log(`lab skipped: ${missing}`);

test.skipIf(missing !== undefined)(
  "an empty machine is powered on, installs the ordered image and reports healthy, on BIOS and on UEFI",
  { timeout: 10 * 60_000 },
  async ({ signal }) => {
    await using lab = await firstInstall(new Timeline(line => console.log(line), false), signal);
    for (const machine of lab.installed) expect(machine.secondsToHealthy).toBeLessThanOrEqual(90);
    const machines = await lab.hub.query<{ name: string; state: { kind: string } }>("machines", "list");
    expect(machines.map(({ name, state }) => `${name} ${state.kind}`)).toEqual([
      "bios-1 healthy",
      "uefi-1 healthy",
    ]);
  },
);
