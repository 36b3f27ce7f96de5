/** A heartbeat's place in the order of all of its machine's heartbeats, which never goes back and never repeats. */

/** Compared in this order, within one install. */
export interface HeartbeatOrder {
  /** Starts of the installed OS, counted by the agent on drp-data. */
  readonly bootCount: number;
  /** Of the last heartbeat that was made in this boot; 0 before the first. */
  readonly seq: number;
}

/** What is kept on drp-data from boot to boot. */
export interface BootCount {
  readonly bootCount: number;
  /** The kernel's boot id that was counted last. */
  readonly bootId: string;
}

/** @param kept null at the first start after the install */
export function countBoot(kept: BootCount | null, bootId: string): BootCount {
  // The agent alone was restarted.
  if (kept !== null && kept.bootId === bootId) return kept;
  return { bootCount: (kept?.bootCount ?? 0) + 1, bootId };
}

export function nextHeartbeat(order: HeartbeatOrder): HeartbeatOrder {
  return { bootCount: order.bootCount, seq: order.seq + 1 };
}

/**
 * Moves behind what the site says it holds: after a restart of the agent alone `seq` began anew, and after the loss of
 * drp-data so did `bootCount`; what is at or below the acknowledged one would be taken for a repetition.
 */
export function catchUp(order: HeartbeatOrder, acknowledged: HeartbeatOrder): HeartbeatOrder {
  if (acknowledged.bootCount > order.bootCount) return { bootCount: acknowledged.bootCount + 1, seq: 0 };
  if (acknowledged.bootCount < order.bootCount) return order;
  return { bootCount: order.bootCount, seq: Math.max(order.seq, acknowledged.seq) };
}
