import { expect, test } from "vitest";
import type { FirstInstall } from "./first-install.ts";
import { runLab } from "./lab-process.ts";
import { missingForLab } from "./missing-for-lab.ts";

const missing = missingForLab();
if (missing !== undefined) console.log(`lab skipped: ${missing}`);

test.skipIf(missing !== undefined)(
  "an empty machine is powered on, installs the ordered image and reports healthy, on BIOS and on UEFI",
  { timeout: 10 * 60_000 },
  async () => {
    const { installed, machines } = await runLab<FirstInstall["seen"]>("--first-half");
    for (const { secondsToHealthy } of installed) expect(secondsToHealthy).toBeLessThanOrEqual(90);
    expect(machines.map(({ name, image, state }) => `${name} ${image} ${state}`)).toEqual([
      "bios-1 app:v1 healthy",
      "uefi-1 app:v1 healthy",
    ]);
  },
);
