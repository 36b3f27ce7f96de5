/** Decides what a site's record is once somebody invites it, and once it has joined. Tokens and keys are made elsewhere. */
import type { z } from "zod";
import { DrpError } from "../core/errors.ts";
import type { EpochMs } from "../core/time.ts";
import { NO_LIMITS } from "../images/transfer-limits.ts";
import type { SiteRecord } from "../store/ports.ts";
import type { createSiteSchema } from "./wire.ts";

interface Invitation {
  readonly wanted: z.output<typeof createSiteSchema>;
  readonly tokenHash: string;
  /** For a site that is new. */
  readonly siteId: string;
  readonly now: EpochMs;
}

const HOUR_MS = 3_600_000;

/**
 * A site that was never heard from is invited again: its token was lost or has expired, or the answer to its join never
 * came through. Its earlier token ends.
 *
 * @param present the site of that name, if there is one
 * @throws {DrpError} name.taken when that site is at work
 */
export function inviteSite(present: SiteRecord | undefined, invitation: Invitation): SiteRecord {
  const { wanted, tokenHash, siteId, now } = invitation;
  if (present !== undefined && (present.membership === null || present.lastSeenAt !== null)) {
    throw siteTaken(wanted.name);
  }
  const expiresAt = now + wanted.tokenExpiresInHours * HOUR_MS;
  const membership = { kind: "invited", tokenHash, expiresAt } as const;
  const { unknown } = wanted;
  if (present !== undefined) {
    const labels = wanted.labels ?? present.labels;
    return { ...present, labels, unknown, membership, revision: present.revision + 1 };
  }
  return {
    id: siteId,
    name: wanted.name,
    labels: wanted.labels ?? {},
    unknown,
    baseline: null,
    membership,
    timeZone: "UTC",
    transferLimits: NO_LIMITS,
    lastSeenAt: null,
    createdAt: now,
    revision: 1,
  };
}

export function siteTaken(name: string): DrpError {
  return new DrpError("name.taken", `another site is called ${name}`, {
    advice: `Choose another name; see: drp sites show ${name}`,
  });
}

/** @throws {DrpError} token.rejected when the site is not invited, or was for too long */
export function requireInvited(site: SiteRecord | undefined, now: EpochMs): SiteRecord {
  if (site?.membership?.kind !== "invited") {
    throw new DrpError("token.rejected", "this join token is not known, or was used before", {
      advice: "Ask an admin for a new one: drp sites create NAME",
    });
  }
  if (site.membership.expiresAt <= now) {
    throw new DrpError("token.rejected", `the join token of ${site.name} has expired`, {
      advice: `Ask an admin for a new one: drp sites create ${site.name}`,
    });
  }
  return site;
}
