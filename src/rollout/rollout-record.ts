/**
 * A rollout as it is kept: the plan, which never changes, and where its waves, sites and machines are. States carry what
 * they need and their reason; which may follow which stands in one table (transitions.ts).
 */
import type { EpochMs } from "../core/time.ts";
import type { ImageDigest } from "../images/manifest.ts";

export type Strategy = "ab" | "reimage";

export interface PlannedMachine {
  readonly machineId: string;
  readonly name: string;
  /** What it ran when the plan was made, and what a rollback brings back. */
  readonly from: ImageDigest;
}

export interface PlannedSite {
  readonly siteId: string;
  readonly name: string;
  readonly baselineBefore: ImageDigest | null;
  /** One after another. Empty only where every machine runs the image already. */
  readonly machines: readonly PlannedMachine[];
}

export interface PlannedWave {
  /** As asked for: "1", "5%", "100%"; cumulative. */
  readonly label: string;
  readonly sites: readonly PlannedSite[];
}

/** A machine or a site that the plan leaves out, and why. */
export interface Deferred {
  readonly name: string;
  readonly reason: string;
}

export interface RolloutPlan {
  /** SHA-256 of everything below in canonical JSON (RFC 8785), lower-case hexadecimal. */
  readonly hash: string;
  readonly image: ImageDigest;
  /** NAME:VERSION */
  readonly imageName: string;
  /** By which the image was asked for, if by one; it may stand elsewhere by now. */
  readonly imageTag?: string;
  readonly strategy: Strategy;
  readonly selector: string;
  /** Name of the only machine that was asked for; its site's baseline stays then. */
  readonly machine?: string;
  /** What the order of sites was drawn with. */
  readonly seed: string;
  readonly waves: readonly PlannedWave[];
  readonly deferred: readonly Deferred[];
  /** How long a wave's machines are watched after the last one is confirmed. */
  readonly soakSeconds: number;
  /** From a machine's grant to its confirmation; past it, with its site reachable, the machine has failed. */
  readonly machineTimeoutSeconds: number;
}

/** Where one machine of the plan is. */
export type MachineProgress =
  | { readonly kind: "queued" }
  /** Given its target; `phase` is what it last reported. */
  | {
      readonly kind: "updating";
      readonly attempt: number;
      readonly grantedAt: EpochMs;
      /** Not confirmed by then: failed. Moves on while the site cannot be reached, or the rollout is paused. */
      readonly deadlineAt: EpochMs;
      readonly phase: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
      /** Boot id at the grant: only another one can be the trial. */
      readonly bootIdBefore: string;
    }
  /** A new boot of the wanted image, healthy, confirmed, and heard by the hub. */
  | { readonly kind: "confirmed"; readonly attempt: number; readonly bootId: string; readonly at: EpochMs }
  | { readonly kind: "fell-back"; readonly attempt: number; readonly reason: string; readonly at: EpochMs }
  | { readonly kind: "failed"; readonly attempt: number; readonly reason: string; readonly at: EpochMs }
  /** On its way back to what it ran before; not proven by `deadlineAt`: the rollback ends without it, and names it. */
  | {
      readonly kind: "returning";
      readonly attempt: number;
      readonly grantedAt: EpochMs;
      readonly deadlineAt: EpochMs;
      readonly bootIdBefore: string;
    }
  /** Proof of the rollback: it runs `image`, confirmed, in this boot. */
  | { readonly kind: "returned"; readonly image: ImageDigest; readonly bootId: string; readonly at: EpochMs }
  /** Never given the image: nothing to undo. */
  | { readonly kind: "untouched"; readonly image: ImageDigest; readonly bootId: string };

export type WaveState =
  | { readonly kind: "pending" }
  | { readonly kind: "open"; readonly openedAt: EpochMs }
  | { readonly kind: "soaking"; readonly until: EpochMs }
  /** No data, or too little: neither passes nor fails. */
  | { readonly kind: "held"; readonly reason: string; readonly since: EpochMs }
  | { readonly kind: "passed"; readonly at: EpochMs }
  | { readonly kind: "failed"; readonly reason: string; readonly at: EpochMs };

export type RolloutState =
  | { readonly kind: "running" }
  | { readonly kind: "paused"; readonly by: string; readonly at: EpochMs }
  | { readonly kind: "rolling-back"; readonly reason: string; readonly since: EpochMs }
  | { readonly kind: "done"; readonly at: EpochMs }
  | { readonly kind: "rolled-back"; readonly reason: string; readonly at: EpochMs }
  | { readonly kind: "rollback-incomplete"; readonly reason: string; readonly at: EpochMs };

export interface RolloutRecord {
  readonly id: string;
  readonly plan: RolloutPlan;
  readonly state: RolloutState;
  /** As long as plan.waves. */
  readonly waves: readonly WaveState[];
  /** By machine id; every machine of the plan has an entry. */
  readonly machines: Readonly<Record<string, MachineProgress>>;
  readonly startedBy: string;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  readonly revision: number;
}

/** Ended for good: sites and machines are free for another rollout. */
export function isEnded(state: RolloutState): boolean {
  return state.kind === "done" || state.kind === "rolled-back" || state.kind === "rollback-incomplete";
}
