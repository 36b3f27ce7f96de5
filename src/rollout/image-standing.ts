/**
 * Whether the fleet still takes an image that the registry holds: its signature must count today, and its release must not be
 * below the floor, which rises when a rollout is done.
 */
import type { ImageDigest } from "../images/manifest.ts";
import type { Refusal } from "./refusal.ts";

export interface ImageStanding {
  /** "which was rotated out by key list 4 …": why its signature counts no more, or null. */
  readonly signatureRefusal: string | null;
  readonly floor: ReleaseFloor | null;
}

export interface ReleaseFloor {
  readonly release: number;
  /** Why it stands there. */
  readonly reason: string;
  /** What the rollout that raised it has recorded to go back to. */
  readonly recorded: ReadonlySet<ImageDigest>;
}

interface StandingImage {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly version: string;
  readonly release: number;
}

/** @param baselines of the sites it is for: what a site runs already is no downgrade there */
export function refuseStanding(
  image: StandingImage,
  { signatureRefusal, floor }: ImageStanding,
  baselines: readonly (ImageDigest | null)[],
): Refusal | undefined {
  const name = `${image.name}:${image.version}`;
  if (signatureRefusal !== null) {
    return {
      kind: "refused",
      code: "signature.rejected",
      reason: `${name} is signed by ${signatureRefusal}`,
      advice:
        "Sign its bundle anew (drp images sign BUNDLE --key KEY --out FILE) and push that, or choose another image.",
    };
  }
  if (floor === null || image.release >= floor.release) return undefined;
  if (floor.recorded.has(image.digest)) return undefined;
  if (baselines.length > 0 && baselines.every(baseline => baseline === image.digest)) return undefined;
  return {
    kind: "refused",
    code: "image.downgrade",
    reason: `${name} is release ${image.release}, and the floor of ${image.name} is release ${floor.release}: ${floor.reason}`,
    advice: `Push a newer release; or, to go back on purpose: drp images floors lower ${image.name} --release ${image.release} --reason WHY`,
  };
}
