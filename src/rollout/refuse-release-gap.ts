/** Refuses a rollout by `ab` to machines whose data partition an image of this age cannot take over, and names them all. */
import type { ImageDigest } from "../images/manifest.ts";
import { describeReleaseGap } from "../images/release-gap.ts";
import type { FleetImage } from "./fleet.ts";
import type { Refusal } from "./refusal.ts";
import type { PlannedSite, Strategy } from "./rollout-record.ts";

const NAMED_MACHINES = 3;

/** @param work sites with the machines that would get the image */
export function refuseReleaseGap(
  image: FleetImage,
  strategy: Strategy,
  work: readonly PlannedSite[],
  images: ReadonlyMap<ImageDigest, FleetImage>,
): Refusal | undefined {
  // The whole disk is made anew: there is no data partition to take over.
  if (strategy === "reimage") return undefined;
  const gaps = work
    .flatMap(site => site.machines)
    .flatMap(({ name, from }) => {
      const gap = describeReleaseGap(image, images.get(from) ?? null);
      return gap === undefined ? [] : [{ name, gap }];
    });
  const [first] = gaps;
  if (first === undefined) return undefined;
  const names = gaps.slice(0, NAMED_MACHINES).map(({ name }) => name);
  const more = gaps.length - names.length;
  return {
    kind: "refused",
    code: "image.release-gap",
    reason: `${first.gap} on ${first.name}; that stops ${gaps.length === 1 ? "1 machine" : `${gaps.length} machines`}: ${names.join(", ")}${more === 0 ? "" : ` and ${more} more`}`,
    advice: `Roll out a release between first, or write whole disks with: --strategy reimage`,
  };
}
