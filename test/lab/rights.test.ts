import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { missingForLab } from "./missing-for-lab.ts";

const MAIN = ["test/lab/main.ts"];
const missing = missingForLab();

function expectRefusal({ status, stderr }: SpawnSyncReturns<string>, words: RegExp): void {
  expect(stderr).toMatch(words);
  expect(stderr).not.toMatch(/ {4}at /);
  expect(status).toBe(1);
}

test("a lab that cannot run here says what is missing and what to do", () => {
  // No PATH: no program is found. An ordinary user hears of root first.
  const run = spawnSync(process.execPath, MAIN, { encoding: "utf8", env: { PATH: "" } });
  expectRefusal(run, /^drp lab: cannot run here: .*(is missing|run it as root|npm run build)/);
});

test.skipIf(missing !== undefined)(
  "a lab without the right to make namespaces says so, also as root, and leaves nothing",
  () => {
    const withoutRights = ["--bounding-set=-sys_admin,-net_admin", process.execPath, ...MAIN];
    const run = spawnSync("setpriv", withoutRights, { encoding: "utf8" });
    expectRefusal(run, /^drp lab: the lab needs network namespaces.*run it as root/);
  },
);
