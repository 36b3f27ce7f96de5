/** What a rollout that has ended leaves to go back to: the next rollout may bring it again, and a fallback may need it. */
import type { ImageDigest } from "../images/manifest.ts";
import type { RolloutRecord } from "./rollout-record.ts";

export interface PreviousImages {
  readonly siteId: string;
  /** True: these take the place of what the site kept from the rollout before; false: they join it. */
  readonly replaces: boolean;
  readonly digests: readonly ImageDigest[];
}

/** @returns nothing for a rollout that is still open, or that was undone with proof: its machines run what they ran */
export function previousImages({ plan, state }: RolloutRecord): PreviousImages[] {
  if (state.kind !== "done" && state.kind !== "rollback-incomplete") return [];
  const sites = plan.waves.flatMap(wave => wave.sites);
  return sites.flatMap(({ siteId, baselineBefore, machines }) => {
    const before = [
      ...(baselineBefore === null ? [] : [baselineBefore]),
      ...machines.map(({ from }) => from),
    ];
    const digests = [...new Set(before)].filter(digest => digest !== plan.image);
    // One machine alone says nothing about the others of its site, nor does a site that had it all already.
    const replaces = state.kind === "done" && plan.machine === undefined;
    return digests.length === 0 ? [] : [{ siteId, replaces, digests }];
  });
}
