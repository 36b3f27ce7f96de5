/** What the hub knows of one machine, and the states it moves through. No storage, no transport. */

import type { MacAddress } from "../../core/mac.ts";
import type { EpochMs } from "../../core/time.ts";
import type { ImageDigest } from "../../images/manifest.ts";
import type { HealthResult, Inventory, MachineTarget, UpdateReport } from "../protocol.ts";

/** Leave to install one image on one machine: single use, expiring, counted. */
export interface InstallIntent {
  readonly id: string;
  readonly image: ImageDigest;
  readonly installGeneration: number;
  /** Null: the machine takes its smallest fitting disk. */
  readonly diskPath: string | null;
  readonly wipe: boolean;
  readonly createdAt: EpochMs;
  /** API token's name, or "site:NAME" where a site minted it. */
  readonly createdBy: string;
  readonly expiresAt: EpochMs;
  /** Registrations that redeemed a boot token for this intent; a power cut in mid-install costs one. */
  readonly attempts: number;
  readonly maxAttempts: number;
}

export type MachineState =
  /** Entered by an operator; never seen on the wire. */
  | { readonly kind: "expected" }
  /** Registered from the ramdisk; nothing assigned. */
  | { readonly kind: "discovered" }
  /** An intent waits for the machine's next network boot. */
  | { readonly kind: "assigned"; readonly intent: InstallIntent }
  | {
      readonly kind: "installing";
      readonly intent: InstallIntent;
      readonly phase: "starting" | "partitioning" | "writing" | "verifying";
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  /** The image is on the disk, read back and equal; its first heartbeat is awaited. */
  | { readonly kind: "booting"; readonly image: ImageDigest }
  | { readonly kind: "healthy" }
  /** At least one health check fails; `reason` names it. */
  | { readonly kind: "unhealthy"; readonly reason: string }
  | { readonly kind: "install-failed"; readonly reason: string }
  /** Two machines claim this identity. */
  | { readonly kind: "quarantined"; readonly reason: string };

/** The newest heartbeat that was applied. */
export interface RunningReport {
  readonly image: ImageDigest;
  readonly slot: "a" | "b";
  readonly bootId: string;
  readonly installGeneration: number;
  readonly bootCount: number;
  readonly seq: number;
  readonly uptimeSeconds: number;
  readonly agentVersion: string;
  readonly health: readonly HealthResult[];
  readonly slotConfirmed: boolean;
  readonly update: UpdateReport | null;
  readonly receivedAt: EpochMs;
}

/** An image that this machine gets no more, by no install and no rollout, until somebody lifts it. */
export interface Denial {
  readonly image: ImageDigest;
  readonly reason: string;
  readonly at: EpochMs;
}

export interface MachineRecord {
  readonly id: string;
  readonly siteId: string;
  readonly name: string;
  /** At least one; unique over the fleet. */
  readonly macs: readonly MacAddress[];
  readonly labels: Readonly<Record<string, string>>;
  /** Null until the machine has registered. */
  readonly inventory: Inventory | null;
  /** SHA-256 of the machine key's SPKI, lower-case hexadecimal; null until it has registered. */
  readonly keyFingerprint: string | null;
  /** Installs ordered so far; the newest intent carries this number. */
  readonly installGeneration: number;
  readonly state: MachineState;
  readonly running: RunningReport | null;
  /** What a rollout wants it to run; null when none does. Only the rollout engine sets and clears it. */
  readonly target: MachineTarget | null;
  readonly denied: readonly Denial[];
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  readonly lastSeenAt: EpochMs | null;
  /** One more at each saved change; compare-and-set on it, and the API's ETag. */
  readonly revision: number;
}

/** The intent that is still open, if the state carries one. */
export function openIntent(state: MachineState): InstallIntent | undefined {
  return state.kind === "assigned" || state.kind === "installing" ? state.intent : undefined;
}
