/**
 * What the rest of the program may ask of storage. Reads are plain questions; every write goes through `commit`, which is
 * one durable transaction of compare-and-set changes. No SQL and no Kysely type shows here.
 */
import type { MachineRecord, MachineState } from "../agent/hub/machine-record.ts";
import type { UnknownPolicy } from "../agent/site/view.ts";
import type { Architecture } from "../core/architecture.ts";
import type { MacAddress } from "../core/mac.ts";
import type { EpochMs } from "../core/time.ts";
import type { SignedKeyList } from "../images/key-list.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { TransferLimits } from "../images/transfer-limits.ts";
import type { RolloutRecord } from "../rollout/rollout-record.ts";

export interface SiteRecord {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly unknown: UnknownPolicy;
  /** What its machines should run: moved when a wave passes, put back by a rollback. Null before the first rollout. */
  readonly baseline: ImageDigest | null;
  /** How the site may join, or how it is known since; null for the site that the hub runs itself. */
  readonly membership: SiteMembership | null;
  /** IANA: "Europe/Berlin". */
  readonly timeZone: string;
  /** Of images on their way to the site. */
  readonly transferLimits: TransferLimits;
  readonly lastSeenAt: EpochMs | null;
  readonly createdAt: EpochMs;
  readonly revision: number;
}

export type SiteMembership =
  /** Waits for `drp site join`; the token is single use. */
  | { readonly kind: "invited"; readonly tokenHash: string; readonly expiresAt: EpochMs }
  | {
      readonly kind: "joined";
      /** SHA-256 of the site key's SPKI, lower-case hexadecimal. */
      readonly keyFingerprint: string;
      readonly joinedAt: EpochMs;
      /** The site's newest report that is kept here; what is at or below it changes nothing. */
      readonly reportsKept: number;
    };

/** An image that a gate has failed: refused fleet-wide until somebody lifts it. */
export interface DeniedImageRecord {
  readonly digest: ImageDigest;
  readonly reason: string;
  readonly rolloutId: string;
  readonly at: EpochMs;
}

export interface ImageRecord {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly version: string;
  readonly architecture: Architecture;
  /** Of the raw image. */
  readonly sizeBytes: number;
  /** Of the raw image without its zero chunks. */
  readonly dataBytes: number;
  /** Which key signed it; another one once it was pushed again with a new signature. */
  readonly keyId: string;
  readonly release: number;
  /** The oldest release that it may replace by `ab`; 0: any. */
  readonly minimumRelease: number;
  readonly pushedAt: EpochMs;
  readonly pushedBy: string;
}

/** Where a tag of an image's name stands, or stood: "app:stable" → a digest. */
export interface ImageTagRecord {
  /** Of the image; a tag only ever stands on images of one name. */
  readonly name: string;
  readonly tag: string;
  /** Null: taken away. */
  readonly digest: ImageDigest | null;
  /** Of that image, which may be gone when its history is read. */
  readonly version: string | null;
  readonly movedAt: EpochMs;
  readonly movedBy: string;
  readonly reason: string | null;
  /** 1 when it was given first; goes on when it is taken away and given again. */
  readonly revision: number;
}

/** What a site ran before its last rollout. */
export interface PreviousImageRecord {
  readonly siteId: string;
  readonly digest: ImageDigest;
  readonly rolloutId: string;
}

export const ROLES = ["admin", "operator", "ci", "viewer"] as const;
export type Role = (typeof ROLES)[number];

export interface TokenRecord {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the secret, lower-case hexadecimal. The secret itself is never kept. */
  readonly secretHash: string;
  readonly createdAt: EpochMs;
  readonly expiresAt: EpochMs | null;
}

/** One version of the list of keys that may sign images; every version is kept. */
export interface KeyListRecord {
  readonly version: number;
  readonly signed: SignedKeyList;
  readonly publishedAt: EpochMs;
  readonly publishedBy: string;
}

/** Below this release nothing with the image's name is rolled out or installed again. */
export interface ReleaseFloorRecord {
  readonly imageName: string;
  readonly release: number;
  /** The rollout that raised it, and whose machines may go back to what it recorded; null: set by hand. */
  readonly rolloutId: string | null;
  readonly reason: string;
  readonly setAt: EpochMs;
  readonly setBy: string;
}

export type EventSeverity = "info" | "warning" | "alarm";

export interface NewEvent {
  readonly at: EpochMs;
  /** "dhcp.offer", "machine.healthy", "image.pushed" */
  readonly kind: string;
  readonly severity: EventSeverity;
  readonly siteId: string | null;
  readonly machineId: string | null;
  readonly mac: MacAddress | null;
  /** One sentence for people, with the reason. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

export interface EventRecord extends NewEvent {
  /** Rises by at least one with each event: the cursor of /events and the Last-Event-ID of the stream. */
  readonly id: number;
}

export type StoreChange =
  | { readonly kind: "insert-site"; readonly site: SiteRecord }
  | { readonly kind: "update-site"; readonly site: SiteRecord; readonly expectedRevision: number }
  | { readonly kind: "insert-machine"; readonly machine: MachineRecord }
  | { readonly kind: "update-machine"; readonly machine: MachineRecord; readonly expectedRevision: number }
  | { readonly kind: "delete-machine"; readonly id: string; readonly expectedRevision: number }
  | { readonly kind: "insert-image"; readonly image: ImageRecord }
  /** Changes nothing: refuses the commit as missing unless the image is there, so that no order outlives its image. */
  | { readonly kind: "require-image"; readonly digest: ImageDigest }
  /**
   * Refused as stale while a machine runs it or should, a site has it as baseline, an open rollout may need it, or a tag
   * names it; with `keepPrevious` also while a site ran it before its last rollout.
   */
  | { readonly kind: "delete-image"; readonly digest: ImageDigest; readonly keepPrevious?: true }
  /**
   * Refused as missing when no image of that name has the digest, as taken when a version of that name reads the same.
   * `expectedRevision` is 0 for a tag that never was.
   */
  | { readonly kind: "set-image-tag"; readonly tag: ImageTagRecord; readonly expectedRevision: number }
  /** Taken while another open rollout has one of its sites. */
  | { readonly kind: "insert-rollout"; readonly rollout: RolloutRecord }
  | { readonly kind: "update-rollout"; readonly rollout: RolloutRecord; readonly expectedRevision: number }
  /** A digest that is denied already stays as it is. */
  | { readonly kind: "deny-image"; readonly denied: DeniedImageRecord }
  | { readonly kind: "insert-token"; readonly token: TokenRecord }
  | { readonly kind: "delete-token"; readonly id: string }
  /** The same image, now vouched for by this key. */
  | { readonly kind: "set-image-signer"; readonly digest: ImageDigest; readonly keyId: string }
  /** Taken when somebody else published that version. */
  | { readonly kind: "insert-key-list"; readonly keyList: KeyListRecord }
  /** A floor that is as high already stays as it is. */
  | { readonly kind: "raise-release-floor"; readonly floor: ReleaseFloorRecord }
  | {
      readonly kind: "lower-release-floor";
      readonly floor: ReleaseFloorRecord;
      readonly expectedRelease: number;
    }
  | { readonly kind: "append-event"; readonly event: NewEvent };

/** Nothing of a commit is kept unless all of it is. */
export type CommitOutcome =
  | { readonly kind: "committed"; readonly events: readonly EventRecord[] }
  /** Someone else changed, removed or already inserted the named thing; read again and decide again. */
  | {
      readonly kind: "conflict";
      readonly changeIndex: number;
      readonly reason: "stale" | "taken" | "missing";
    };

export interface Page {
  /** Exclusive: the last row of the page before. */
  readonly after?: string;
  readonly limit: number;
}

export interface MachineFilter extends Page {
  readonly siteId?: string;
  readonly stateKind?: MachineState["kind"];
}

export interface ImageFilter extends Page {
  /** Only versions of this name. */
  readonly name?: string;
}

export interface RolloutFilter extends Page {
  /** Leaves out those that have ended. */
  readonly onlyOpen?: boolean;
}

export interface EventFilter {
  readonly afterId?: number;
  readonly machineId?: string;
  /** Null: only those that name no machine. */
  readonly mac?: MacAddress | null;
  readonly siteId?: string;
  /** "image.": those whose kind begins so. */
  readonly kindPrefix?: string;
  readonly limit: number;
  /** "newest" gives the last `limit` events, still in rising order. */
  readonly from: "oldest" | "newest";
}

export interface Store {
  listSites(page: Page): Promise<SiteRecord[]>;
  /** @param reference id or name */
  findSite(reference: string): Promise<SiteRecord | undefined>;
  /** @param fingerprint of a joined site: SHA-256 of its key's SPKI, lower-case hexadecimal */
  findSiteByKey(fingerprint: string): Promise<SiteRecord | undefined>;
  /** @param tokenHash of an invited site */
  findSiteByJoinToken(tokenHash: string): Promise<SiteRecord | undefined>;
  /** In the order of their names. `after` is a name. */
  listMachines(filter: MachineFilter): Promise<MachineRecord[]>;
  /** @param reference id, name or MAC address */
  findMachine(reference: string): Promise<MachineRecord | undefined>;
  countMachines(siteId?: string): Promise<ReadonlyMap<MachineState["kind"], number>>;
  /** Newest first. `after` is a digest. */
  listImages(filter: ImageFilter): Promise<ImageRecord[]>;
  /** @param reference digest, a digest's prefix (with or without "sha256:"), NAME:VERSION, NAME:TAG, version or tag */
  findImages(reference: string): Promise<ImageRecord[]>;
  /** Those that stand on an image, in the order of name and tag. */
  listImageTags(): Promise<ImageTagRecord[]>;
  /** Where the tag stands now; with a null digest where it was taken away. */
  findImageTag(name: string, tag: string): Promise<ImageTagRecord | undefined>;
  /** Where it stood, newest first. */
  listImageTagMoves(name: string, tag: string, limit: number): Promise<ImageTagRecord[]>;
  listPreviousImages(): Promise<PreviousImageRecord[]>;
  /** Newest first. `after` is an id. */
  listRollouts(filter: RolloutFilter): Promise<RolloutRecord[]>;
  findRollout(id: string): Promise<RolloutRecord | undefined>;
  listDeniedImages(): Promise<DeniedImageRecord[]>;
  listTokens(): Promise<TokenRecord[]>;
  findTokenByHash(secretHash: string): Promise<TokenRecord | undefined>;
  /** Oldest first. */
  listKeyLists(): Promise<KeyListRecord[]>;
  listReleaseFloors(): Promise<ReleaseFloorRecord[]>;
  listEvents(filter: EventFilter): Promise<EventRecord[]>;

  /** Resolves after fsync. Commits of the same moment may share one fsync. */
  commit(changes: readonly StoreChange[]): Promise<CommitOutcome>;
  /** Called after each commit that appended events, in the order of their ids. Returns how to stop listening. */
  onEvents(listener: (events: readonly EventRecord[]) => void): () => void;
  /** Called with what each commit changed, in the order of the commits, before `commit` resolves. */
  onCommitted(listener: (changes: readonly StoreChange[]) => void): () => void;
  close(): Promise<void>;
}
