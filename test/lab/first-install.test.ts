import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { missingForLab } from "./missing-for-lab.ts";

const missing = missingForLab();
if (missing !== undefined) console.log(`lab skipped: ${missing}`);

/** Runs the lab as a process of its own: it ends what it started also when vitest is interrupted and ends its workers. */
async function runLab(): Promise<string[]> {
  const lab = spawn(process.execPath, ["test/lab/main.ts"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(lab, "close");
  const lines: string[] = [];
  createInterface({ input: lab.stdout }).on("line", line => {
    lines.push(line);
    console.log(line);
  });
  expect(await ended).toEqual([0, null]);
  return lines;
}

test.skipIf(missing !== undefined)(
  "an empty machine is powered on, installs the ordered image and reports healthy, on BIOS and on UEFI",
  { timeout: 10 * 60_000 },
  async () => {
    const lines = await runLab();
    const summary = lines.flatMap(line => {
      const found = /^ +(\S+): from power-on to healthy in ([\d.]+) s$/.exec(line);
      return found === null ? [] : [{ name: found[1], seconds: Number(found[2]) }];
    });
    expect(summary.map(({ name }) => name)).toEqual(["bios-1", "uefi-1"]);
    for (const { seconds } of summary) expect(seconds).toBeLessThanOrEqual(90);
    for (const name of ["bios-1", "uefi-1"]) {
      expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ +${name} +healthy +app:v1 `)));
    }
  },
);
