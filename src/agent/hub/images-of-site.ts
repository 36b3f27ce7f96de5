/** Which images a site must keep, so that its machines can be installed, updated and brought back with the WAN down. */
import type { ImageDigest } from "../../images/manifest.ts";
import { isEnded, type RolloutRecord } from "../../rollout/rollout-record.ts";
import { type MachineRecord, openIntent } from "./machine-record.ts";

/** What a machine runs, should run, and is ordered to install. */
export function imagesOfMachine({ state, running, target }: MachineRecord): ImageDigest[] {
  const named = [running?.image, target?.image, openIntent(state)?.image];
  return [...new Set(named.filter(image => image !== undefined))];
}

/** What an open rollout may bring to this site, or back to it; nothing once it has ended. */
export function imagesOfRollout(rollout: RolloutRecord, siteId: string): ImageDigest[] {
  if (isEnded(rollout.state)) return [];
  const site = rollout.plan.waves.flatMap(({ sites }) => sites).find(planned => planned.siteId === siteId);
  if (site === undefined) return [];
  const before = site.baselineBefore === null ? [] : [site.baselineBefore];
  return [...new Set([rollout.plan.image, ...before, ...site.machines.map(({ from }) => from)])];
}
