/**
 * Builds, lints, and runs every test; the last line counts all of it: `N passed, N failed, N skipped`. Arguments choose
 * test files, as vitest understands them; the counts are then of those alone.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
const chosen = process.argv.slice(2);

// Ctrl-C ends the step that runs; this process stays, to count it and to leave nothing behind.
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    interrupted = true;
  });
}

if (chosen.length === 0) await runStep("lint", [process.execPath, "scripts/lint.ts"]);
if (await runStep("build", [process.execPath, "scripts/build.ts", "--if-changed"])) await runVitest();
else console.log("vitest was not run: the build failed");

console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;

/** @returns whether the command ended well */
async function run([command = "", ...args]: readonly string[]): Promise<boolean> {
  if (interrupted) return false;
  const [status] = await once(spawn(command, args, { stdio: "inherit" }), "exit");
  return status === 0;
}

/** A step is one test: it passes or fails as a whole. */
async function runStep(name: string, command: readonly string[]): Promise<boolean> {
  const passed = await run(command);
  if (passed) counts.passed++;
  else counts.failed++;
  console.log(`${passed ? "ok    " : "FAILED"}  ${name}`);
  return passed;
}

async function runVitest(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "drp-test-"));
  const report = join(folder, "report.json");
  const outputs = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const endedWell = await run(["vitest", "run", ...outputs, ...chosen]);
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      await readFile(report, "utf8"),
    );
    counts.passed += numPassedTests;
    counts.skipped += numPendingTests + numTodoTests;
    // A file that could not even be loaded has no failed test of its own.
    const unloaded = testResults.filter(
      (file: { status: string; assertionResults: unknown[] }) =>
        file.status === "failed" && file.assertionResults.length === 0,
    ).length;
    counts.failed += numFailedTests + unloaded;
    if (!endedWell && numFailedTests + unloaded === 0) counts.failed++;
  } catch {
    console.log("vitest ended without a report");
    counts.failed++;
  }
  await rm(folder, { recursive: true });
}
