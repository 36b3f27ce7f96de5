/** Decides how an image comes to a site: as a delta from one that it holds, or in the chunks that it lacks. */
import { formatBytes } from "../core/bytes.ts";
import type { ChunkDigest, ImageDigest } from "./manifest.ts";

/** A delta that is ready. */
export interface ReadyDelta {
  readonly from: ImageDigest;
  /** NAME:VERSION */
  readonly fromName: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Of the groups whose chunks the site lacks; fewer than all of it after a cut. */
  readonly neededBytes: number;
}

/** Why an image that the site holds gives no delta. */
export interface NoDelta {
  readonly fromName: string;
  readonly because: string;
}

export type TransferChoice =
  | {
      readonly kind: "delta";
      readonly delta: ReadyDelta;
      /** What the chunks would have been. */
      readonly wholeBytes: number;
      readonly reason: string;
    }
  | { readonly kind: "whole"; readonly wholeBytes: number; readonly reason: string };

/**
 * The smaller of both, in bytes that have yet to cross the line.
 *
 * @param wholeBytes of the frames of the chunks that the site lacks
 */
export function chooseTransfer(
  wholeBytes: number,
  ready: readonly ReadyDelta[],
  none: readonly NoDelta[],
): TransferChoice {
  const whole = `whole: ${formatBytes(wholeBytes)} of chunks that the site lacks`;
  const [best] = ready.toSorted((a, b) => a.neededBytes - b.neededBytes);
  if (best !== undefined && best.neededBytes < wholeBytes) {
    return { kind: "delta", delta: best, wholeBytes, reason: `${describe(best)}, ${whole}` };
  }
  if (best !== undefined) return { kind: "whole", wholeBytes, reason: `${whole}, ${describe(best)}` };
  const why = none.map(({ fromName, because }) => `no delta from ${fromName}: ${because}`);
  const reasons = why.length === 0 ? ["the site holds no image to build on"] : why;
  return { kind: "whole", wholeBytes, reason: [whole, ...reasons].join("; ") };
}

function describe({ fromName, sizeBytes, neededBytes }: ReadyDelta): string {
  const needed = `delta from ${fromName}: ${formatBytes(neededBytes)}`;
  // The header comes anew each time.
  return neededBytes < sizeBytes * 0.99 ? `${needed} of ${formatBytes(sizeBytes)} still to come` : needed;
}

export interface HeldImage {
  readonly digest: ImageDigest;
  readonly name: string;
  /** NAME:VERSION */
  readonly label: string;
  readonly release: number;
  readonly chunks: readonly (ChunkDigest | null)[];
}

/** A delta from each would cost the hub minutes of work; the third best is no better than the second. */
const MAX_BASES = 2;

/** The held images that a delta may build on, best first: those that share the most chunks, and then the newest. */
export function rankBases(target: Omit<HeldImage, "digest">, held: readonly HeldImage[]): HeldImage[] {
  const wanted = new Set(target.chunks.filter(chunk => chunk !== null));
  const shared = ({ chunks }: HeldImage) =>
    new Set(chunks.filter(chunk => chunk !== null && wanted.has(chunk))).size;
  return held
    .map(image => ({ image, isKin: image.name === target.name ? 1 : 0, shared: shared(image) }))
    .toSorted((a, b) => b.isKin - a.isKin || b.shared - a.shared || b.image.release - a.image.release)
    .slice(0, MAX_BASES)
    .map(({ image }) => image);
}

/** How long a machine that stands in its installer waits for the hub to compute a delta. A delta of 1 GiB takes less. */
const URGENT_PATIENCE_MS = 60_000;
/**
 * How long an update waits: its machine serves meanwhile, and the line is what is dear. Well below the time in which a
 * rollout expects a machine to be done.
 */
const PATIENCE_MS = 3 * 60_000;

/**
 * Whether to wait on for a delta that the hub still computes, or to begin with chunks.
 *
 * @param isUrgent a machine is ordered to install this image: until it is there, nothing runs on it
 */
export function keepsWaiting(waitedMs: number, isUrgent: boolean): boolean {
  return waitedMs < (isUrgent ? URGENT_PATIENCE_MS : PATIENCE_MS);
}
