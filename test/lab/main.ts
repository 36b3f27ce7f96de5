/**
 * `npm run lab`: both halves of the main job on real firmware, as one timeline.
 *
 *   --network-boots    the ways to the ramdisk that the first half does not take: Secure Boot, HTTP boot, ProxyDHCP, arm64
 *   --first-half    only the first one: two machines and everything else in one process, one machine after another
 *   --keep          leaves it running until Ctrl-C, with the dashboard's address printed
 *   --report FILE   writes what was seen as JSON, for tests
 */
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeErrorChain } from "../../src/core/errors.ts";
import { formatDuration } from "../../src/core/time.ts";
import { firstInstall } from "./first-install.ts";
import { missingForLab } from "./missing-for-lab.ts";
import { networkBoots } from "./network-boots.ts";
import { runReleases } from "./releases.ts";
import { Timeline } from "./timeline.ts";

const startedAt = Date.now();
const interruption = new AbortController();
// Every time, not once: a terminal's Ctrl-C comes from the terminal and from npm, and ending takes a moment.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => interruption.abort());

try {
  const { values } = parseArgs({
    options: {
      "first-half": { type: "boolean" },
      "network-boots": { type: "boolean" },
      keep: { type: "boolean" },
      report: { type: "string" },
    },
  });
  const missing = missingForLab();
  if (missing !== undefined) throw new Error(`cannot run here: ${missing}`);
  const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
  const timeline = new Timeline(line => console.log(line), colour);
  await using lab = await chooseScenario(values)(timeline, interruption.signal);
  timeline.title(`Done in ${formatDuration(Date.now() - startedAt)}`);
  if (values.report !== undefined) await writeFile(values.report, JSON.stringify(lab.seen));
  if (values.keep === true && "hub" in lab) {
    const token = (await readFile(join(lab.hub.dataFolder, "admin.token"), "utf8")).trim();
    timeline.block(`dashboard: ${lab.dashboard}  (token: ${token})`);
    timeline.block("the lab goes on until Ctrl-C");
    if (!interruption.signal.aborted) await once(interruption.signal, "abort");
  }
} catch (error) {
  console.error(`drp lab: ${interruption.signal.aborted ? "interrupted" : describeErrorChain(error)}`);
  process.exitCode = 1;
}

interface ScenarioFlags {
  readonly "first-half"?: boolean;
  readonly "network-boots"?: boolean;
}

function chooseScenario(flags: ScenarioFlags) {
  if (flags["network-boots"] === true) return networkBoots;
  return flags["first-half"] === true ? firstInstall : runReleases;
}
