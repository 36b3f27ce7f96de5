/** What is remembered of a pair of images, and which remembered deltas go when they take too much room. */
import { z } from "zod";
import { formatBytes } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import type { MadeDelta } from "./process-messages.ts";

/** Beside each delta, written after it: a delta without it was never finished. */
export const deltaRecordSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    formatVersion: z.literal(1),
    kind: z.literal("delta"),
    sizeBytes: z.int().positive(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  z.strictObject({ formatVersion: z.literal(1), kind: z.literal("none"), because: z.string() }),
]);
export type DeltaRecord = z.infer<typeof deltaRecordSchema>;

/** The smaller of both wins: on squashfs, where one changed file changes every block after it, that is the whole. */
export function judgeDelta({ sizeBytes, sha256, wholeBytes }: MadeDelta): DeltaRecord {
  if (sizeBytes < wholeBytes) return { formatVersion: 1, kind: "delta", sizeBytes, sha256 };
  return {
    formatVersion: 1,
    kind: "none",
    because:
      `the delta takes ${formatBytes(sizeBytes)}, ` +
      `the chunks that the older image does not have ${formatBytes(wholeBytes)}`,
  };
}

export interface KeptDelta {
  readonly sizeBytes: number;
  readonly offeredAt: EpochMs;
}

/** Longer than any site waits between two ranges of a download before it asks again. */
const IN_USE_MS = 60 * 60_000;

/**
 * The names of those to remove, oldest unused first, so that the rest takes at most `maxBytes`. What was offered within the last
 * hour may be on its way to a site and stays, even if that is too much.
 */
export function planRemoval(
  kept: ReadonlyMap<string, KeptDelta>,
  maxBytes: number,
  now: EpochMs,
): readonly string[] {
  let total = Array.from(kept.values()).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const removed: string[] = [];
  const unused = Array.from(kept)
    .filter(([, { offeredAt }]) => now - offeredAt >= IN_USE_MS)
    .sort(([, one], [, other]) => one.offeredAt - other.offeredAt);
  for (const [name, { sizeBytes }] of unused) {
    if (total <= maxBytes) break;
    removed.push(name);
    total -= sizeBytes;
  }
  return removed;
}
