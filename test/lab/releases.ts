/**
 * Both halves of the main job on real firmware: three machines in two sites install v1; v2 goes out in waves while the hub,
 * a site agent and a machine are killed in the middle of it; v3 is bad, and is stopped and undone without a person; one
 * machine is brought back to v1 by installing it again from the network.
 */
import type { Rollout } from "../../src/api/wire.ts";
import { disturb } from "./disturb.ts";
import { explainFailure } from "./explain-failure.ts";
import type { LabHub } from "./lab-hub.ts";
import { type SeenMachine, showMachines } from "./show-machines.ts";
import type { Timeline } from "./timeline.ts";
import { type PoweredMachine, startTwoSites, type TwoSites } from "./two-sites.ts";
import { hasEnded, untilRollout } from "./watch-rollout.ts";

export interface Releases {
  readonly afterInstall: readonly SeenMachine[];
  readonly afterGoodRelease: readonly SeenMachine[];
  readonly badRelease: Rollout;
  readonly afterBadRelease: readonly SeenMachine[];
  readonly afterReimage: readonly SeenMachine[];
  /** What `drp why` says of the machine that met v3. */
  readonly why: string;
  /** What starting v3 again is answered with. */
  readonly refusal: string;
}

export interface LabRun extends AsyncDisposable {
  readonly hub: LabHub;
  readonly dashboard: string;
  readonly seen: Releases;
}

/** Short, so that a person can watch: policies of real fleets soak for hours. */
const POLICY = ["--wave", "1,100%", "--soak", "3s"];

/** @throws Error with the ends of all consoles and logs */
export async function runReleases(timeline: Timeline, signal: AbortSignal): Promise<LabRun> {
  await using started = new AsyncDisposableStack();
  const fleet = started.use(await startTwoSites(timeline, signal));
  try {
    const seen = await release(fleet, timeline);
    const { hub, dashboard } = fleet;
    const kept = started.move();
    return { hub, dashboard, seen, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  } catch (cause) {
    throw await explainFailure(cause, fleet.logFiles);
  }
}

async function release(fleet: TwoSites, timeline: Timeline): Promise<Releases> {
  const { hub } = fleet;

  timeline.title("Three empty machines are powered on at once and install v1");
  await Promise.all(fleet.machines.map(machine => install(hub, machine, timeline)));
  const afterInstall = await showMachines(hub, timeline);

  timeline.title("v2 goes out: one site first, then the other, machine by machine");
  timeline.block(await hub.drp("rollout", "plan", "--image", "v2", ...POLICY, "-o", "table"));
  await hub.drp("rollout", "start", "--image", "v2", ...POLICY);
  await disturb(fleet, timeline);
  await untilRollout(hub, "done", ({ state }) => state.kind === "done");
  const afterGoodRelease = await showMachines(hub, timeline);

  timeline.title("v3 is bad: its trial fails, the machine falls back by itself, the rollout is undone");
  await hub.drp("rollout", "start", "--image", "v3", ...POLICY);
  const undone = await untilRollout(hub, "rolled back", hasEnded);
  timeline.block(await hub.drp("rollout", "status", "-o", "table"));
  const afterBadRelease = await showMachines(hub, timeline);
  const [canary = ""] =
    undone.plan.waves[0]?.sites.flatMap(site => site.machines.map(({ name }) => name)) ?? [];
  const why = await hub.drp("why", canary, "-o", "table");
  const refusal = await refusalOf(hub.drp("rollout", "start", "--image", "v3", ...POLICY));
  timeline.say("operator", `starts v3 again: ${refusal}`);

  timeline.title(`${canary} goes back to v1 by installing it again from the network`);
  await hub.drp(
    ...["rollout", "start", "--image", "v1", "--strategy", "reimage", "--machine", canary],
    ...["--wave", "100%", "--soak", "0s"],
  );
  await untilRollout(hub, "done", ({ state }) => state.kind === "done");
  const afterReimage = await showMachines(hub, timeline);
  return { afterInstall, afterGoodRelease, badRelease: undone, afterBadRelease, afterReimage, why, refusal };
}

/** What a command that must not succeed says. */
async function refusalOf(command: Promise<string>): Promise<string> {
  return command.then(
    output => `accepted: ${output}`,
    (error: Error) => error.message.slice(error.message.indexOf("drp: ")),
  );
}

async function install(hub: LabHub, machine: PoweredMachine, timeline: Timeline): Promise<void> {
  await hub.drp("machines", "install", machine.name, "--image", "v1");
  machine.powerOn();
  timeline.say(machine.name, `power on (${machine.firmware}, empty disk)`);
  await hub.drp("machines", "wait", machine.name, "--for", "healthy", "--timeout", "5m");
}
