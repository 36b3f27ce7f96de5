/**
 * Decides which images a registry keeps. What anything needs or names stays, whatever the rule says; the rule only chooses among
 * the rest. Each image gets its reason, since someone will ask why it is still there, or why it is gone.
 */

import type { EpochMs } from "../core/time.ts";
import { formatDuration } from "../core/time.ts";
import type { ImageDigest } from "./manifest.ts";

export interface RetentionRule {
  /** The newest releases of each name that stay in any case; images that a gate has refused do not count. */
  readonly keepNewest: number;
  /** Younger ones stay as well; 0: age keeps nothing. */
  readonly keepForMs: number;
}

export interface RetainedImage {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly architecture: string;
  readonly release: number;
  readonly pushedAt: EpochMs;
}

/** All that may need an image; the hub's records fit as they are. */
export interface ImageNeeds {
  readonly tags: readonly {
    readonly name: string;
    readonly tag: string;
    readonly digest: ImageDigest | null;
  }[];
  readonly machines: readonly {
    readonly name: string;
    readonly running: { readonly image: ImageDigest } | null;
    readonly target: { readonly image: ImageDigest } | null;
    readonly state: {
      readonly kind: string;
      readonly intent?: { readonly image: ImageDigest };
      readonly image?: ImageDigest;
    };
  }[];
  readonly sites: readonly {
    readonly id: string;
    readonly name: string;
    readonly baseline: ImageDigest | null;
  }[];
  readonly openRollouts: readonly {
    readonly id: string;
    readonly plan: {
      readonly image: ImageDigest;
      readonly waves: readonly {
        readonly sites: readonly {
          readonly baselineBefore: ImageDigest | null;
          readonly machines: readonly { readonly from: ImageDigest }[];
        }[];
      }[];
    };
  }[];
  /** What each site ran before its last rollout. */
  readonly previous: readonly {
    readonly siteId: string;
    readonly digest: ImageDigest;
    readonly rolloutId: string;
  }[];
  /** Refused by a gate. */
  readonly denied: readonly { readonly digest: ImageDigest }[];
}

export interface RetentionVerdict<Image extends RetainedImage> {
  readonly image: Image;
  readonly keep: boolean;
  /** "tag app:stable", "runs on till-1 and 12 more", "4th newest of app; nothing needs it" */
  readonly reason: string;
}

/** @returns one verdict for each image, in the order given */
export function decideRetention<Image extends RetainedImage>(
  images: readonly Image[],
  needs: ImageNeeds,
  rule: RetentionRule,
  now: EpochMs,
): RetentionVerdict<Image>[] {
  const reasons = needsByImage(needs);
  const ranks = rankByRelease(images, new Set(needs.denied.map(({ digest }) => digest)));
  return images.map(image => {
    const needed = reasons.get(image.digest);
    if (needed !== undefined) return { image, keep: true, reason: describeNeeds(needed) };
    const rank = ranks.get(image.digest);
    if (rank !== undefined && rank <= rule.keepNewest) {
      return { image, keep: true, reason: `${place(rank)} of ${image.name}` };
    }
    const ageMs = now - image.pushedAt;
    if (ageMs < rule.keepForMs) return { image, keep: true, reason: `pushed ${formatDuration(ageMs)} ago` };
    const why = rank === undefined ? "a gate has refused it" : `${place(rank)} of ${image.name}`;
    return { image, keep: false, reason: `${why}; nothing needs it` };
  });
}

interface Need {
  /** "runs on", "baseline of" */
  readonly how: string;
  readonly who: string;
}

function needsByImage(needs: ImageNeeds): ReadonlyMap<ImageDigest, Need[]> {
  const found = new Map<ImageDigest, Need[]>();
  const add = (digest: ImageDigest | null | undefined, how: string, who: string) => {
    if (digest === null || digest === undefined) return;
    const list = found.get(digest) ?? [];
    list.push({ how, who });
    found.set(digest, list);
  };
  for (const { name, tag, digest } of needs.tags) add(digest, "tag", `${name}:${tag}`);
  for (const { name, running, target, state } of needs.machines) {
    add(running?.image, "runs on", name);
    add(target?.image, "wanted on", name);
    add(state.intent?.image ?? state.image, "ordered for", name);
  }
  for (const { name, baseline } of needs.sites) add(baseline, "baseline of", name);
  for (const { id, plan } of needs.openRollouts) {
    add(plan.image, "brought by", id);
    for (const site of plan.waves.flatMap(wave => wave.sites)) {
      add(site.baselineBefore, "way back of", id);
      for (const { from } of site.machines) add(from, "way back of", id);
    }
  }
  const names = new Map(needs.sites.map(({ id, name }) => [id, name]));
  for (const { siteId, digest } of needs.previous) add(digest, "way back of", names.get(siteId) ?? siteId);
  return found;
}

/** The first kind of need speaks for all; whoever asks why it stays needs one name to begin with. */
function describeNeeds(needs: readonly Need[]): string {
  const how = needs[0]?.how ?? "";
  const who = [...new Set(needs.filter(need => need.how === how).map(need => need.who))];
  const others = who.length === 1 ? "" : ` and ${who.length - 1} more`;
  return `${how} ${who[0]}${others}`;
}

/** 1 is the newest of a name and architecture; those that a gate has refused have no rank. */
function rankByRelease(
  images: readonly RetainedImage[],
  denied: ReadonlySet<ImageDigest>,
): ReadonlyMap<ImageDigest, number> {
  const good = images.filter(({ digest }) => !denied.has(digest));
  const groups = Map.groupBy(good, ({ name, architecture }) => `${name} ${architecture}`);
  return new Map(
    [...groups.values()].flatMap(group =>
      group
        .toSorted((one, other) => other.release - one.release || other.pushedAt - one.pushedAt)
        .map(({ digest }, index) => [digest, index + 1] as const),
    ),
  );
}

/** "newest", "2nd newest" */
function place(rank: number): string {
  if (rank === 1) return "newest";
  const endings: Readonly<Record<number, string>> = { 1: "st", 2: "nd", 3: "rd" };
  const isTeen = rank % 100 >= 11 && rank % 100 <= 13;
  return `${rank}${isTeen ? "th" : (endings[rank % 10] ?? "th")} newest`;
}
