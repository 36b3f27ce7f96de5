/**
 * Puts heartbeats in order by (installGeneration, bootCount, seq). Clocks lie and networks repeat, so neither the time
 * of sending nor the time of arrival counts (field notes §2, rule 13).
 */

export interface HeartbeatPosition {
  readonly installGeneration: number;
  readonly bootCount: number;
  readonly seq: number;
  readonly bootId: string;
}

export type HeartbeatVerdict =
  /** Newer than all that was applied. */
  | { readonly kind: "apply" }
  /** Duplicate, late, or replayed: acknowledged, changes nothing. */
  | { readonly kind: "stale" }
  /** The same boot count of the same install under another boot id: two machines hold one identity. */
  | { readonly kind: "clone"; readonly reason: string };

/** @param last the newest applied position, or null before the first */
export function judgeHeartbeat(last: HeartbeatPosition | null, next: HeartbeatPosition): HeartbeatVerdict {
  if (last === null) return { kind: "apply" };
  const byBoot = next.installGeneration - last.installGeneration || next.bootCount - last.bootCount;
  if (byBoot !== 0) return { kind: byBoot > 0 ? "apply" : "stale" };
  if (next.bootId !== last.bootId) {
    return {
      kind: "clone",
      reason: `boot ${next.bootCount} of install ${next.installGeneration} was reported under two boot ids, ${last.bootId} and ${next.bootId}`,
    };
  }
  return { kind: next.seq > last.seq ? "apply" : "stale" };
}
