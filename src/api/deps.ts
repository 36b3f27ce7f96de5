/** What the routes need from the rest of the hub. */
import type { RandomBytes } from "../core/ids.ts";
import type { Ipv4 } from "../core/ipv4.ts";
import type { Clock, EpochMs } from "../core/time.ts";
import type { LeaseHistoryQuery } from "../dhcp/lease-history.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { Uploads } from "../images/io/uploads.ts";
import type { Store } from "../store/ports.ts";
import type { Lease, LeaseHistoryEntry, Reservation, Status, Subnet } from "./wire.ts";

/** The fleet's certificate authority, as far as a site that joins needs it. */
export interface FleetCa {
  readonly caPem: string;
  /** SHA-256 of its key's SPKI, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** @throws {DrpError} request.invalid for a certificate request that a site must not make */
  issueSiteCertificate(request: {
    readonly certificateRequestPem: string;
    readonly siteId: string;
    readonly now: EpochMs;
  }): Promise<{
    readonly certificatePem: string;
    /** SHA-256 of the site key's SPKI, lower-case hexadecimal. */
    readonly keyFingerprint: string;
  }>;
}

/** What the site that the hub runs itself knows of addresses. */
export interface AddressDesk {
  leases(): Promise<readonly Lease[]>;
  /** Newest first. */
  history(query: LeaseHistoryQuery): Promise<readonly LeaseHistoryEntry[]>;
  /** Takes an address back. @returns the lease that was; undefined where nobody held it */
  release(address: Ipv4): Promise<Lease | undefined>;
  subnets(): Promise<readonly Subnet[]>;
  reservations(): Promise<readonly Reservation[]>;
}

export interface ApiDeps {
  readonly store: Store;
  readonly registry: Pick<
    ImageRegistry,
    "manifest" | "openImage" | "ingestBundle" | "remove" | "confirm" | "scrub"
  >;
  readonly uploads: Pick<Uploads, "begin" | "keepChunk" | "complete">;
  readonly addresses: AddressDesk;
  readonly status: () => Status;
  readonly ca: FleetCa;
  /** Where sites that have joined reach the hub. */
  readonly siteChannelPort: () => number;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** Aborted when the hub stops: ends event streams and a scrub. */
  readonly stopping: AbortSignal;
}
