/** The lab as a process of its own: it ends what it started also when vitest is interrupted and ends its workers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";

/** @returns what the lab has seen, as its scenario's `seen` */
export async function runLab<T>(...flags: string[]): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "drp-lab-report-"));
  try {
    const report = join(folder, "report.json");
    const lab = spawn(process.execPath, ["test/lab/main.ts", "--report", report, ...flags], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    expect(await once(lab, "close")).toEqual([0, null]);
    return JSON.parse(await readFile(report, "utf8"));
  } finally {
    await rm(folder, { recursive: true });
  }
}
