/** One line of the event log that the engine writes. It has the shape of the store's events. */
import type { MacAddress } from "../core/mac.ts";
import type { EpochMs } from "../core/time.ts";
import type { RolloutRecord } from "./rollout-record.ts";

export interface RolloutEvent {
  readonly at: EpochMs;
  /** "rollout.started", "wave.held", "update.confirmed" */
  readonly kind: string;
  readonly severity: "info" | "warning" | "alarm";
  readonly siteId: string | null;
  readonly machineId: string | null;
  readonly mac: MacAddress | null;
  /** One sentence for people, with the reason. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** About the rollout as a whole; `facts.rollout` finds all events of one rollout. */
export function rolloutEvent(
  rollout: Pick<RolloutRecord, "id">,
  at: EpochMs,
  event: Pick<RolloutEvent, "kind" | "severity" | "summary"> & Partial<Pick<RolloutEvent, "facts">>,
): RolloutEvent {
  const { kind, severity, summary } = event;
  const facts = { rollout: rollout.id, ...event.facts };
  return { at, kind, severity, siteId: null, machineId: null, mac: null, summary, facts };
}
