/** `npm run lint`: format, lint, types, purity, import rules, unused code. Each one says what it found; all of them run. */
import { spawnSync } from "node:child_process";

const CHECKS: readonly (readonly [name: string, command: readonly string[]])[] = [
  ["format and lint (biome)", ["biome", "check", "."]],
  ["types (tsc)", ["tsc", "-p", "."]],
  ["types of the dashboard (tsc)", ["tsc", "-p", "src/dashboard"]],
  ["purity (eslint)", ["eslint", "--config", "lint/eslint.pure.mjs", "src"]],
  ["imports (dependency-cruiser)", ["depcruise", "--config", "lint/dependency-cruiser.cjs", "src"]],
  ["unused code (knip)", ["knip"]],
];

let failed = 0;
for (const [name, [command = "", ...args]] of CHECKS) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  console.log(`${status === 0 ? "ok    " : "FAILED"}  ${name}`);
  if (status === 0) continue;
  failed++;
  console.log(stdout + stderr);
}
process.exitCode = failed === 0 ? 0 : 1;
