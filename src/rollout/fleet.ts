/**
 * What the engine looks at: the parts of the hub's records that plans and steps are decided from. The hub's own records
 * fit these shapes as they are, so nobody converts them.
 */
import type { Architecture } from "../core/architecture.ts";
import type { MacAddress } from "../core/mac.ts";
import type { EpochMs } from "../core/time.ts";
import type { CandidateDisk } from "../images/disk-plan.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { Strategy } from "./rollout-record.ts";

export interface FleetImage {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly version: string;
  readonly architecture: Architecture;
  /** Of the raw image. */
  readonly sizeBytes: number;
  readonly release: number;
  /** The oldest release that it may replace by `ab`; 0: any. */
  readonly minimumRelease: number;
}

export interface FleetSite {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly baseline: ImageDigest | null;
  /** Null: the hub runs it itself, and always reaches it. */
  readonly membership: { readonly kind: "invited" | "joined" } | null;
  readonly lastSeenAt: EpochMs | null;
}

export interface MachineTarget {
  readonly rolloutId: string;
  readonly attempt: number;
  readonly image: ImageDigest;
  readonly strategy: Strategy;
  readonly may: "nothing" | "reboot";
}

export interface UpdateReport {
  readonly rolloutId: string;
  readonly attempt: number;
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly reason: string;
}

/** The newest heartbeat. */
export interface Running {
  readonly image: ImageDigest;
  readonly bootId: string;
  readonly slotConfirmed: boolean;
  readonly health: readonly {
    readonly name: string;
    readonly status: "pass" | "fail" | "no-data";
    readonly detail: string;
  }[];
  readonly update: UpdateReport | null;
}

export interface FleetMachine {
  readonly id: string;
  readonly siteId: string;
  readonly name: string;
  readonly macs: readonly MacAddress[];
  readonly inventory: {
    readonly architecture: Architecture;
    readonly firmware: "bios" | "uefi";
    readonly disks: readonly CandidateDisk[];
  } | null;
  readonly state:
    | { readonly kind: "expected" | "discovered" | "assigned" | "booting" | "healthy" }
    | {
        readonly kind: "installing";
        readonly phase: string;
        readonly doneBytes: number;
        readonly totalBytes: number;
      }
    | { readonly kind: "unhealthy" | "install-failed" | "quarantined"; readonly reason: string };
  readonly running: Running | null;
  readonly target: MachineTarget | null;
  readonly denied: readonly { readonly image: ImageDigest; readonly reason: string }[];
  readonly lastSeenAt: EpochMs | null;
}
