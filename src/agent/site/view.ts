/**
 * What a site and the hub tell each other. The hub gives a view (what this site should want, small enough to keep on the
 * site's disk while the WAN is down); the site gives reports (what happened, each one a fact with its time).
 */
import type { MacAddress } from "../../core/mac.ts";
import type { EpochMs } from "../../core/time.ts";
import type { SignedKeyList } from "../../images/key-list.ts";
import type { ImageDigest } from "../../images/manifest.ts";
import type { TransferLimits } from "../../images/transfer-limits.ts";
import type { InstallIntent } from "../hub/machine-record.ts";
import type { Heartbeat, InstallProgress, Inventory, MachineTarget } from "../protocol.ts";

/** What a machine gets that nobody has entered. */
export type UnknownPolicy = "discover" | "disk" | "silent";

export interface SiteMachine {
  readonly id: string;
  readonly name: string;
  readonly macs: readonly MacAddress[];
  /** SHA-256 of the registered key's SPKI; null until the machine has registered. */
  readonly keyFingerprint: string | null;
  readonly intent: InstallIntent | null;
  readonly target: MachineTarget | null;
  /** Whether it may wait in the ramdisk: it was never installed, and none of its disks holds anything to boot. */
  readonly blank: boolean;
  /** Why this machine gets no image and no install, or null. */
  readonly quarantineReason: string | null;
}

export interface SiteView {
  readonly siteId: string;
  readonly siteName: string;
  readonly unknown: UnknownPolicy;
  /** Who may sign images: every version of the list, oldest first. */
  readonly keyLists: readonly SignedKeyList[];
  readonly machines: readonly SiteMachine[];
  /** What its machines run or should run, and what a rollback would bring back: never evicted from the site's disk. */
  readonly keptImages: readonly ImageDigest[];
  /** IANA; the limits' times of the day and calendar are of this zone. */
  readonly timeZone: string;
  readonly transferLimits: TransferLimits;
}

/** One line of a machine's timeline: a packet, a decision, a transfer. */
export interface BootEvent {
  /** "dhcp.offer", "tftp.done", "script.install": documented in docs/booting.md. */
  readonly kind: string;
  /** One sentence for people, with the reason. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

export type SiteReport =
  | {
      readonly kind: "machine-registered";
      readonly at: EpochMs;
      readonly machineId: string;
      readonly bootMac: MacAddress;
      readonly bootId: string;
      readonly keyFingerprint: string;
      readonly inventory: Inventory;
      /** The intent whose boot token was redeemed; null for a discovery. */
      readonly intentId: string | null;
    }
  | {
      readonly kind: "install-progress";
      readonly at: EpochMs;
      readonly machineId: string;
      readonly progress: InstallProgress;
    }
  | {
      readonly kind: "heartbeat";
      readonly at: EpochMs;
      readonly machineId: string;
      readonly heartbeat: Heartbeat;
    }
  | {
      readonly kind: "boot-event";
      readonly at: EpochMs;
      /** Null: of the site and no machine of it, as a second DHCP server on its network. */
      readonly mac: MacAddress | null;
      readonly event: BootEvent;
    }
  /** How an image came over the line, or what keeps it from coming. Of the site, whatever machine asked. */
  | { readonly kind: "image-event"; readonly at: EpochMs; readonly event: BootEvent }
  /** A boot token was presented a second time: someone on the wire copies, or a machine repeats itself. */
  | {
      readonly kind: "token-replayed";
      readonly at: EpochMs;
      readonly mac: MacAddress;
      readonly fromAddress: string;
    };

/**
 * A site's line to its hub. In one process it is a function call, across a WAN an HTTPS request.
 *
 * `report` resolves when the facts are kept for good (on the hub's disk, or in the site's own outbox): only then may the
 * site acknowledge a machine. It answers the newest view.
 */
export interface HubLink {
  view(): SiteView;
  report(reports: readonly SiteReport[]): Promise<SiteView>;
  /** Calls back whenever the view has changed for another reason than a report of this site. */
  onViewChanged(listener: (view: SiteView) => void): void;
}
