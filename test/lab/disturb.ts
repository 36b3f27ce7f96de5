/** Three crashes in the middle of a rollout, one of each kind: power cut of a machine, kill -9 of a site and of the hub. */
import type { Timeline } from "./timeline.ts";
import type { TwoSites } from "./two-sites.ts";
import { hasEnded, untilRollout, updating } from "./watch-rollout.ts";

export async function disturb({ hub, machines, north, south }: TwoSites, timeline: Timeline): Promise<void> {
  const first = await untilRollout(
    hub,
    "the first machine is updating",
    rollout => updating(rollout).length > 0,
  );
  timeline.say("lab", "kill -9 of the hub");
  await hub.crashAndRestart();

  const canaries = updating(first).map(({ name }) => name);
  const second = await untilRollout(hub, "a machine of the second wave is updating", rollout =>
    updating(rollout).some(({ name }) => !canaries.includes(name)),
  );
  const [victim] = updating(second).map(({ name }) => name);
  const site = victim?.startsWith("north") ? north : south;
  timeline.say("lab", `kill -9 of the site agent of ${site.name}`);
  await site.crashAndRestart();

  await untilRollout(
    hub,
    `${victim} is writing or in its trial`,
    rollout =>
      updating(rollout).some(({ name, phase }) => name === victim && phase !== "granted") ||
      hasEnded(rollout),
  );
  timeline.say("lab", `power cut of ${victim}`);
  await machines.find(({ name }) => name === victim)?.powerCycle();
}
