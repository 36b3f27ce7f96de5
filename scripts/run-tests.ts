/**
 * Builds, lints, and runs every test; the last line counts all of it: `N passed, N failed, N skipped`. Arguments choose
 * test files, as vitest understands them; the counts are then of those alone.
 */
import { spawnSync } from "node:child_process";
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

if (chosen.length === 0) runStep("lint", [process.execPath, "scripts/lint.ts"]);
if (runStep("build", [process.execPath, "scripts/build.ts", "--if-changed"])) await runVitest();
else console.log("vitest was not run: the build failed");

console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;

/** A step is one test: it passes or fails as a whole. */
function runStep(name: string, [command = "", ...args]: readonly string[]): boolean {
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  const passed = status === 0;
  if (passed) counts.passed++;
  else counts.failed++;
  console.log(`${passed ? "ok    " : "FAILED"}  ${name}`);
  return passed;
}

async function runVitest(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "drp-test-"));
  const report = join(folder, "report.json");
  const { status } = spawnSync(
    "vitest",
    ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...chosen],
    { stdio: "inherit" },
  );
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
    if (status !== 0 && numFailedTests + unloaded === 0) counts.failed++;
  } catch {
    console.log("vitest ended without a report");
    counts.failed++;
  }
  await rm(folder, { recursive: true });
}
