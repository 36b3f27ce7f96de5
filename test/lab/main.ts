/**
 * `npm run lab`: both halves of the main job on real firmware, as one timeline. `--keep` leaves it running until Ctrl-C,
 * with the dashboard's address printed.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeErrorChain } from "../../src/core/errors.ts";
import { formatDuration } from "../../src/core/time.ts";
import { missingForLab } from "./missing-for-lab.ts";
import { runReleases } from "./releases.ts";
import { Timeline } from "./timeline.ts";

const keep = process.argv.includes("--keep");
const startedAt = Date.now();
const timeline = new Timeline(
  line => console.log(line),
  process.stdout.isTTY && process.env.NO_COLOR === undefined,
);
const interruption = new AbortController();
// Every time, not once: a terminal's Ctrl-C comes from the terminal and from npm, and ending takes a moment.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => interruption.abort());

try {
  const missing = missingForLab();
  if (missing !== undefined) throw new Error(`cannot run here: ${missing}`);
  await using lab = await runReleases(timeline, interruption.signal);
  timeline.title(`Done in ${formatDuration(Date.now() - startedAt)}`);
  if (keep) {
    const token = (await readFile(join(lab.fleet.hub.dataFolder, "admin.token"), "utf8")).trim();
    timeline.block(`dashboard: ${lab.fleet.dashboard}  (token: ${token})`);
    timeline.block("the lab goes on until Ctrl-C");
    if (!interruption.signal.aborted) await once(interruption.signal, "abort");
  }
} catch (error) {
  console.error(`drp lab: ${interruption.signal.aborted ? "interrupted" : describeErrorChain(error)}`);
  process.exitCode = 1;
}
