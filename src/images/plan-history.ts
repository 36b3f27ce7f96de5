/**
 * Decides which images a hub keeps whole and which as a delta over one that is whole anyway: never over another delta, so that
 * reading an old image costs one decoding. What anything needs is whole; whatever else, as a delta.
 */
import type { ImageDigest } from "./manifest.ts";

export interface HistoryImage {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly architecture: string;
  readonly release: number;
  /** The newest one of its name, or one that a machine, a site, a tag or a rollout needs. */
  readonly keepWhole: boolean;
}

export type HistoryStep =
  /** From a delta, because something needs it again. */
  | { readonly kind: "restore"; readonly image: ImageDigest }
  | { readonly kind: "encode"; readonly image: ImageDigest; readonly base: ImageDigest };

/**
 * @param deltas what is kept as a delta now, and over which base
 * @returns in an order in which each can be done: no base becomes a delta before its dependants have another one
 */
export function planHistory(
  images: readonly HistoryImage[],
  deltas: ReadonlyMap<ImageDigest, ImageDigest>,
): HistoryStep[] {
  const whole = images.filter(image => image.keepWhole);
  const restored = whole.filter(({ digest }) => deltas.has(digest));
  const encoded = images
    .filter(image => !image.keepWhole)
    .flatMap(image => {
      const candidates = whole.filter(other => isSameLine(image, other));
      const base = deltas.get(image.digest);
      if (candidates.some(({ digest }) => digest === base)) return [];
      const nearest = findNearest(image.release, candidates);
      return nearest === undefined
        ? []
        : [{ kind: "encode" as const, image: image.digest, base: nearest.digest }];
    });
  return [
    ...restored.map(({ digest }) => ({ kind: "restore" as const, image: digest })),
    ...encoded.filter(({ image }) => deltas.has(image)),
    ...encoded.filter(({ image }) => !deltas.has(image)),
  ];
}

/** Another architecture shares no block worth the search. */
function isSameLine(one: HistoryImage, other: HistoryImage): boolean {
  return one.name === other.name && one.architecture === other.architecture;
}

/** By release, since neighbours have the most in common. */
function findNearest(release: number, candidates: readonly HistoryImage[]): HistoryImage | undefined {
  return candidates.toSorted(
    (one, other) => Math.abs(one.release - release) - Math.abs(other.release - release),
  )[0];
}

/** A delta that saves less is not worth the decoding of every later read. */
const WORTH_SHARE = 0.7;

/** @param freedBytes frames that no other image needs, which go when the delta is kept */
export function isWorthKeeping(deltaBytes: number, freedBytes: number): boolean {
  return deltaBytes < freedBytes * WORTH_SHARE;
}
