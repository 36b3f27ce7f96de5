/**
 * What a site and its hub say to each other, at https://HUB:8444/site/v1. The site proves who it is by its TLS client
 * certificate, which the fleet's CA signed when it joined.
 *
 *   POST /sync            reports → the newest that the hub has kept, and the site's view when it is another one
 *   GET  /images/DIGEST   manifest and signature
 *   POST /images/DIGEST/transfer   what the site has → how the image comes to it: a delta, or the chunks that it lacks
 *   GET  /chunks/HEX      one zstd frame; whole or a range of it
 *   GET  /deltas/FROM/TO/HEX   the delta file with this SHA-256; whole or a range of it
 *
 * Reports are numbered by the site, and the hub keeps each number once. A request without reports waits at the hub until
 * there is a new view: that is how a site hears of changes at once.
 */
import { z } from "zod";
import { type MacAddress, parseMac } from "../core/mac.ts";
import { isTimeZone } from "../core/zoned-time.ts";
import { signedKeyListsSchema } from "../images/key-list.ts";
import { imageDigestSchema, MAX_CHUNKS } from "../images/manifest.ts";
import { NO_LIMITS, transferLimitsSchema } from "../images/transfer-limits.ts";
import type { InstallIntent } from "./hub/machine-record.ts";
import { heartbeatSchema, inventorySchema, machineTargetSchema, progressSchema } from "./protocol.ts";
import type { SiteReport, SiteView } from "./site/view.ts";

/** Raised when an older hub could misread a newer site, or the other way round. */
export const SITE_PROTOCOL_VERSION = 1;

/** A request without reports is answered after this long at the latest. */
export const POLL_MS = 20_000;

const epochMs = z.int().nonnegative();
const mac = z.custom<MacAddress>(value => typeof value === "string" && parseMac(value) === value, {
  error: "not a MAC address",
});
const fingerprint = z.string().regex(/^[0-9a-f]{64}$/);
const machineId = z.string().regex(/^m-[a-z0-9]{1,32}$/);
const facts = z.record(z.string().max(64), z.union([z.string().max(4096), z.number(), z.boolean()]));

const siteReportSchema: z.ZodType<SiteReport> = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("machine-registered"),
    at: epochMs,
    machineId,
    bootMac: mac,
    bootId: z.uuid(),
    keyFingerprint: fingerprint,
    inventory: inventorySchema,
    intentId: z.string().max(64).nullable(),
  }),
  z.object({ kind: z.literal("install-progress"), at: epochMs, machineId, progress: progressSchema }),
  z.object({ kind: z.literal("heartbeat"), at: epochMs, machineId, heartbeat: heartbeatSchema }),
  z.object({
    kind: z.literal("boot-event"),
    at: epochMs,
    mac: mac.nullable(),
    event: z.object({ kind: z.string().max(64), summary: z.string().max(4096), facts }),
  }),
  z.object({
    kind: z.literal("image-event"),
    at: epochMs,
    event: z.object({ kind: z.string().max(64), summary: z.string().max(4096), facts }),
  }),
  z.object({ kind: z.literal("token-replayed"), at: epochMs, mac, fromAddress: z.string().max(64) }),
]);

export const numberedReportSchema = z.object({ seq: z.int().positive(), report: siteReportSchema });
export type NumberedReport = z.infer<typeof numberedReportSchema>;

/** One request carries at most this many, and about this much text; the rest follows. */
export const MAX_REPORTS = 500;
export const MAX_REPORTS_BYTES = 1024 * 1024;

export const syncRequestSchema = z.object({
  protocolVersion: z.literal(SITE_PROTOCOL_VERSION),
  /** In rising order. Numbers may be left out: what was overtaken or dropped. */
  reports: z.array(numberedReportSchema).max(MAX_REPORTS),
  /** Of the view that the site has; 0 for none. */
  knownViewRevision: z.int().nonnegative(),
});
export type SyncRequest = z.infer<typeof syncRequestSchema>;

const installIntentSchema: z.ZodType<InstallIntent> = z.object({
  id: z.string(),
  image: imageDigestSchema,
  installGeneration: z.int(),
  diskPath: z.string().nullable(),
  wipe: z.boolean(),
  createdAt: epochMs,
  createdBy: z.string(),
  expiresAt: epochMs,
  attempts: z.int(),
  maxAttempts: z.int(),
});

export const siteViewSchema: z.ZodType<SiteView> = z.object({
  siteId: z.string(),
  siteName: z.string(),
  unknown: z.enum(["discover", "disk", "silent"]),
  keyLists: signedKeyListsSchema,
  machines: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      macs: z.array(mac),
      keyFingerprint: fingerprint.nullable(),
      intent: installIntentSchema.nullable(),
      target: machineTargetSchema.nullable(),
      blank: z.boolean(),
      quarantineReason: z.string().nullable(),
    }),
  ),
  // A view on a site's disk may be from before these were.
  keptImages: z.array(imageDigestSchema).default([]),
  timeZone: z.string().refine(isTimeZone).catch("UTC"),
  transferLimits: transferLimitsSchema.catch(NO_LIMITS),
});

export const syncAnswerSchema = z.object({
  /** The newest report that the hub has kept; the view counts everything up to it. */
  keptSeq: z.int().nonnegative(),
  /** Rises with each change, also over restarts of the hub. */
  viewRevision: z.int().positive(),
  /** Null when the site knows this revision. */
  view: siteViewSchema.nullable(),
});
export type SyncAnswer = z.infer<typeof syncAnswerSchema>;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Of `images/chunk-bitmap.ts`, with room for attachments. */
const MAX_BITMAP_TEXT = Math.ceil((2 * MAX_CHUNKS) / 8 / 3) * 4;

export const transferRequestSchema = z.object({
  /** Images that a delta may build on: whole on the site's disk. The newest are enough. */
  held: z.array(imageDigestSchema).max(16),
  /** Which chunks the site lacks. */
  missing: z.base64().max(MAX_BITMAP_TEXT),
  /** False: a delta that is still being computed is of no use any more. */
  waitsForDelta: z.boolean().default(true),
});
export type TransferRequest = z.infer<typeof transferRequestSchema>;

const reason = z.string().max(4096);
const sizeBytes = z.int().nonnegative();

export const transferAnswerSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("delta"),
    from: imageDigestSchema,
    fromName: z.string().max(255),
    sizeBytes,
    sha256,
    wholeBytes: sizeBytes,
    reason,
  }),
  z.object({ kind: z.literal("whole"), wholeBytes: sizeBytes, reason }),
  /** Ask again. */
  z.object({
    kind: z.literal("computing"),
    fromName: z.string().max(255),
    doneBytes: sizeBytes,
    totalBytes: sizeBytes,
  }),
]);
export type TransferAnswer = z.infer<typeof transferAnswerSchema>;
