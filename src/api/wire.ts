/**
 * The HTTP API's words: zod schemas as the one source of types, validation and the OpenAPI document. The CLI and the
 * dashboard import this file and nothing else of the hub.
 */
import { z } from "zod";
import {
  healthResultSchema,
  inventorySchema,
  machineTargetSchema,
  problemSchema,
  updateReportSchema,
} from "../agent/protocol.ts";
import { ARCHITECTURES } from "../core/architecture.ts";
import { isTimeZone } from "../core/zoned-time.ts";
import { imageTagSchema as tagNameSchema } from "../images/image-reference.ts";
import { keyNameSchema, MAX_KEY_LISTS, signedKeyListSchema } from "../images/key-list.ts";
import { chunkDigestSchema, imageDigestSchema } from "../images/manifest.ts";
import { bandwidthSchema, budgetSchema, transferLimitsSchema } from "../images/transfer-limits.ts";

/** A machine's or site's name: a DNS label, as users of DHCP and Kubernetes expect. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "lower-case letters, digits and dashes, at most 63");
const epochMs = z.int().nonnegative();
const labels = z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/), z.string().max(63));
const macText = z.string().max(17);
const facts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

export type { Problem } from "../agent/protocol.ts";
export { problemSchema };

/** Answer of every list: `next` is the cursor for `?after=`, null on the last page. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), next: z.string().nullable() });
}

export const unknownPolicySchema = z.enum(["discover", "disk", "silent"]);

export const siteSchema = z.object({
  id: z.string(),
  name: nameSchema,
  labels,
  unknown: unknownPolicySchema,
  baseline: imageDigestSchema.nullable(),
  /** "local": run by the hub itself. */
  membership: z.enum(["local", "invited", "joined"]),
  /** IANA; of the windows and the budget. */
  timeZone: z.string(),
  transferLimits: transferLimitsSchema,
  lastSeenAt: epochMs.nullable(),
  machines: z.record(z.string(), z.int()).describe("count of machines by state"),
  createdAt: epochMs,
  revision: z.int(),
});
export type Site = z.infer<typeof siteSchema>;

export const updateSiteSchema = z.strictObject({
  unknown: unknownPolicySchema.optional(),
  labels: labels.optional(),
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, "no time zone of the IANA database, as Europe/Berlin is")
    .optional(),
  /** Of images on their way to the site; reports, heartbeats and manifests are never held. */
  bandwidth: bandwidthSchema.optional(),
  budget: budgetSchema.nullable().optional().describe("null lifts it"),
});

/** A site that will join from elsewhere: POST /sites. */
export const createSiteSchema = z.strictObject({
  name: nameSchema,
  labels: labels.optional(),
  unknown: unknownPolicySchema.default("discover"),
  tokenExpiresInHours: z.int().min(1).max(720).default(24),
});

/** The token is shown once; it names the hub's CA by its hash, so that the site trusts nobody else. */
export const createdSiteSchema = z.object({ site: siteSchema, joinToken: z.string() });

/** POST /sites/join, open to whoever has the token. */
export const joinSiteSchema = z.strictObject({
  joinToken: z.string().min(20).max(512),
  /** PKCS #10; its subject alternative names are the addresses where machines reach the site. */
  certificateRequestPem: z.string().min(1).max(8192),
});

export const joinedSiteSchema = z.object({
  siteId: z.string(),
  siteName: z.string(),
  certificatePem: z.string(),
  caPem: z.string(),
  /** Port of the hub's site channel. */
  siteChannelPort: z.int(),
});

export const installIntentSchema = z.object({
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

export const machineStateSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("expected") }),
  z.object({ kind: z.literal("discovered") }),
  z.object({ kind: z.literal("assigned"), intent: installIntentSchema }),
  z.object({
    kind: z.literal("installing"),
    intent: installIntentSchema,
    phase: z.enum(["starting", "partitioning", "writing", "verifying"]),
    doneBytes: z.int(),
    totalBytes: z.int(),
  }),
  z.object({ kind: z.literal("booting"), image: imageDigestSchema }),
  z.object({ kind: z.literal("healthy") }),
  z.object({ kind: z.literal("unhealthy"), reason: z.string() }),
  z.object({ kind: z.literal("install-failed"), reason: z.string() }),
  z.object({ kind: z.literal("quarantined"), reason: z.string() }),
]);

export const machineSchema = z.object({
  id: z.string(),
  siteId: z.string(),
  siteName: z.string(),
  name: nameSchema,
  macs: z.array(z.string()),
  labels,
  inventory: inventorySchema.nullable(),
  installGeneration: z.int(),
  state: machineStateSchema,
  running: z
    .object({
      image: imageDigestSchema,
      /** NAME:VERSION; null when the hub no longer has the image. */
      imageName: z.string().nullable(),
      slot: z.enum(["a", "b"]),
      bootId: z.string(),
      bootCount: z.int(),
      seq: z.int(),
      uptimeSeconds: z.number(),
      agentVersion: z.string(),
      health: z.array(healthResultSchema),
      slotConfirmed: z.boolean(),
      update: updateReportSchema.nullable(),
      receivedAt: epochMs,
    })
    .nullable(),
  target: machineTargetSchema.nullable(),
  denied: z.array(z.object({ image: imageDigestSchema, reason: z.string(), at: epochMs })),
  createdAt: epochMs,
  updatedAt: epochMs,
  lastSeenAt: epochMs.nullable(),
  revision: z.int(),
});
export type Machine = z.infer<typeof machineSchema>;

/** Enters a machine before it is ever seen. */
export const createMachineSchema = z.strictObject({
  name: nameSchema,
  /** Name or id; may be left out while there is one site. */
  site: z.string().optional(),
  macs: z.array(macText).min(1).max(16),
  labels: labels.optional(),
});

export const updateMachineSchema = z.strictObject({ name: nameSchema.optional(), labels: labels.optional() });

/** Leave to install: POST /machines/ID/install. */
export const installMachineSchema = z.strictObject({
  /** Digest, unique prefix, NAME:VERSION or unique version. */
  image: z.string().min(1).max(255),
  diskPath: z.string().startsWith("/dev/").max(64).nullable().default(null),
  wipe: z.boolean().default(false).describe("overwrite a disk that already holds something"),
  expiresInMinutes: z.int().min(1).max(10_080).default(60),
  maxAttempts: z.int().min(1).max(10).default(3),
});

export const imageSchema = z.object({
  digest: imageDigestSchema,
  name: z.string(),
  version: z.string(),
  architecture: z.enum(ARCHITECTURES),
  sizeBytes: z.int(),
  dataBytes: z.int(),
  keyId: z.string(),
  release: z.int(),
  /** The oldest release that it may replace by `ab`; 0: any. */
  minimumRelease: z.int(),
  pushedAt: epochMs,
  pushedBy: z.string(),
  /** That stand on it now; left out where none does. */
  tags: z.array(z.string()).optional(),
  /** Set once its signature counts no more: no machine takes it until it is pushed with a new one. */
  signatureRefusal: z.string().optional(),
  /** Set once a rollout's gate has refused it: no machine gets it any more. */
  denied: z.object({ reason: z.string(), rolloutId: z.string(), at: epochMs }).optional(),
});
export type Image = z.infer<typeof imageSchema>;

/** A name that moves: "app:stable". */
export const imageTagSchema = z.object({
  /** Of the image. */
  name: z.string(),
  tag: z.string(),
  digest: z.string(),
  version: z.string(),
  movedAt: epochMs,
  movedBy: z.string(),
  reason: z.string().nullable(),
  revision: z.int(),
});
export type ImageTag = z.infer<typeof imageTagSchema>;

/** One line of a tag's history; a null digest is where it was taken away. */
export const imageTagMoveSchema = imageTagSchema.extend({
  digest: z.string().nullable(),
  version: z.string().nullable(),
  fromDigest: z.string().nullable(),
  fromVersion: z.string().nullable(),
});
export type ImageTagMove = z.infer<typeof imageTagMoveSchema>;

/** POST /image-tags */
export const setImageTagSchema = z.strictObject({
  /** Digest, unique prefix, NAME:VERSION, NAME:TAG, unique version or unique tag. */
  image: z.string().min(1).max(255),
  tag: tagNameSchema,
  reason: z.string().min(1).max(255).optional(),
});

/** POST /images/prune */
export const pruneImagesSchema = z.strictObject({
  keep: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(3)
    .describe("newest releases of each name that stay in any case"),
  olderThanDays: z.number().min(0).max(36_500).default(0).describe("younger ones stay"),
  dryRun: z.boolean().default(false),
});

/** What became of each image, and why. */
export const prunedImagesSchema = z.object({
  freedBytes: z.int().describe("of the raw images, in chunks that no image has that stays"),
  images: z.array(
    z.object({
      digest: imageDigestSchema,
      name: z.string(),
      version: z.string(),
      pushedAt: epochMs,
      verdict: z.enum(["keep", "remove"]),
      reason: z.string(),
    }),
  ),
});
export type PrunedImages = z.infer<typeof prunedImagesSchema>;

const pairSchema = z.object({ before: z.string(), after: z.string() });
const namesSchema = z.object({
  added: z.array(z.string()),
  removed: z.array(z.string()),
  changed: z.array(z.string()),
});
const comparedImageSchema = imageSchema.pick({
  digest: true,
  name: true,
  version: true,
  release: true,
  minimumRelease: true,
  architecture: true,
  sizeBytes: true,
});
const notComparedSchema = z.object({ kind: z.literal("not-compared"), reason: z.string() });
const packageSchema = z.object({ name: z.string(), version: z.string() });

const fileChangeSchema = z.object({
  /** From the root, without a leading slash; a name that is not UTF-8 has its bytes as \\xNN. */
  path: z.string(),
  change: z.enum(["added", "removed", "changed"]),
  type: z.enum(["file", "directory", "symlink", "character-device", "block-device", "fifo", "socket"]),
  sizeBefore: z.int().nullable(),
  sizeAfter: z.int().nullable(),
  content: z.boolean().describe("whether the bytes of a file that both have differ"),
  kind: pairSchema.optional(),
  mode: pairSchema.optional(),
  owner: pairSchema.optional(),
  target: pairSchema.optional(),
  attributes: z.array(z.string()).optional().describe("extended attributes that differ"),
});
export type FileChange = z.infer<typeof fileChangeSchema>;

/** GET /images/A/diff/B */
export const imageDiffSchema = z.object({
  before: comparedImageSchema,
  after: comparedImageSchema,
  manifest: z.object({
    kernelArguments: namesSchema,
    healthChecks: namesSchema,
    attachments: namesSchema.describe("hooks and the bill of materials"),
  }),
  chunks: z.object({ sharedBytes: z.int(), newBytes: z.int(), goneBytes: z.int() }),
  packages: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("compared"),
      system: z.enum(["dpkg", "apk"]),
      added: z.array(packageSchema),
      removed: z.array(packageSchema),
      changed: z.array(pairSchema.extend({ name: z.string() })),
    }),
    notComparedSchema,
  ]),
  files: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("compared"),
      totals: z.object({
        added: z.int(),
        removed: z.int(),
        changed: z.int(),
        addedBytes: z.int(),
        removedBytes: z.int(),
        changedBytes: z.int(),
      }),
      changes: z.array(fileChangeSchema),
      omitted: z.int().describe("changes beyond those listed"),
    }),
    notComparedSchema,
  ]),
});
export type ImageDiff = z.infer<typeof imageDiffSchema>;

/** Answer of POST /images; `alreadyPresent` makes a second push of the same content a no-op that says so. */
export const pushedImageSchema = z.object({ image: imageSchema, alreadyPresent: z.boolean() });

/** Answer of POST /image-uploads: what is still to come, each chunk once. */
export const startedUploadSchema = z.object({
  digest: imageDigestSchema,
  missing: z.array(chunkDigestSchema),
});

/** A key of the newest list. */
/** The check of all images that runs, or the last one since the hub's start. */
export const imageScrubSchema = z.object({
  state: z.enum(["never", "running", "done", "failed"]),
  startedAt: epochMs.nullable(),
  endedAt: epochMs.nullable(),
  share: z.number().describe("of the work that is done, 0 to 1"),
  checkedChunks: z.int(),
  checkedBytes: z.int().describe("as kept: compressed"),
  removedOrphans: z.int().describe("chunks that broken uploads had left"),
  rottenChunks: z.int().describe("moved into quarantine"),
  damagedImages: z.array(
    z.object({
      digest: imageDigestSchema,
      name: z.string().nullable(),
      missingChunks: z.int().nullable().describe("null: its manifest cannot be read"),
    }),
  ),
  failure: z.string().nullable(),
});
export type ImageScrubState = z.infer<typeof imageScrubSchema>;

export const imageKeySchema = z.object({
  keyId: z.string(),
  name: z.string(),
  publicKeyPem: z.string(),
  /** ISO 8601; null: until a later list leaves it out. */
  expiresAt: z.string().nullable(),
  trustedAt: epochMs,
  trustedBy: z.string(),
});
export type ImageKey = z.infer<typeof imageKeySchema>;

export const trustImageKeySchema = z.strictObject({
  name: keyNameSchema,
  publicKeyPem: z.string().min(1).max(4096),
  expiresAt: z.iso.datetime().nullable().optional(),
});

export const keyListSchema = signedKeyListSchema.extend({
  version: z.int(),
  publishedAt: epochMs,
  publishedBy: z.string(),
});

/** Oldest first; may begin with lists that the hub has. */
export const publishKeyListsSchema = z.strictObject({
  lists: z.array(signedKeyListSchema).min(1).max(MAX_KEY_LISTS),
});

export const releaseFloorSchema = z.object({
  imageName: z.string(),
  release: z.int(),
  /** Of the rollout that raised it; null: set by hand. */
  rolloutId: z.string().nullable(),
  reason: z.string(),
  setAt: epochMs,
  setBy: z.string(),
});
export type ReleaseFloor = z.infer<typeof releaseFloorSchema>;

export const lowerReleaseFloorSchema = z.strictObject({
  release: z.int().nonnegative(),
  reason: z.string().min(3).max(500),
});

export const leaseSchema = z.object({
  address: z.string(),
  mac: z.string().describe("the hardware address; id:HEX of hardware whose address DHCP cannot hold"),
  hostname: z.string().nullable(),
  subnet: z.string(),
  expiresAt: epochMs,
});
export type Lease = z.infer<typeof leaseSchema>;

export const leaseHistoryEntrySchema = z.object({
  at: epochMs,
  address: z.string(),
  mac: z.string(),
  hostname: z.string().nullable(),
  /** released: given back by the client. revoked: by an operator. declined, conflict: somebody else sits on it. */
  what: z.enum(["leased", "released", "revoked", "declined", "conflict"]),
  /** Of a lease: when it runs out; of a declined or conflicting address: until when it is given to nobody. */
  until: epochMs.nullable(),
});
export type LeaseHistoryEntry = z.infer<typeof leaseHistoryEntrySchema>;

/** A network of the hub's own site; counts are of addresses that any client may get. */
export const subnetSchema = z.object({
  network: z.string(),
  pools: z.array(z.string()),
  router: z.string().nullable(),
  leaseSeconds: z.int(),
  size: z.int(),
  leased: z.int(),
  free: z.int(),
  reservations: z.int(),
});
export type Subnet = z.infer<typeof subnetSchema>;

export const reservationSchema = z.object({
  address: z.string(),
  subnet: z.string(),
  /** "52:54:00:12:34:56", "client id 01ff", "circuit 0102 of relay 03" */
  for: z.string(),
  hostname: z.string().nullable(),
  /** Whether the machine has the address at the moment. */
  leased: z.boolean(),
});
export type Reservation = z.infer<typeof reservationSchema>;

const verdictSchema = z.object({
  tone: z.enum(["good", "busy", "bad", "quiet"]),
  last: z.string().describe("what happened last"),
  meaning: z.string().describe("what that usually means; may be empty"),
  advice: z.array(z.string()),
});

const explainedBootSchema = z.object({
  startedAt: epochMs,
  lastAt: epochMs,
  mac: z.string().nullable(),
  /** What we took it for, in the order in which its programs spoke: "x64 UEFI, PXE", "x64 UEFI, iPXE". */
  clients: z.array(z.string()),
  interfaceName: z.string().nullable(),
  stages: z.array(
    z.object({
      name: z.string(),
      state: z.enum(["done", "going", "failed", "open"]),
      note: z.string(),
    }),
  ),
  lines: z.array(
    z.object({
      at: epochMs,
      kind: z.string(),
      title: z.string(),
      text: z.string(),
      tone: z.enum(["good", "plain", "quiet", "bad"]),
      times: z.int().describe("how often the same thing happened, the last time at untilAt"),
      untilAt: epochMs,
    }),
  ),
  verdict: verdictSchema.extend({
    rule: z.string().describe("stable name of what the boot ended with"),
    silentMs: z.int().nullable().describe("null: it has begun to boot again since"),
  }),
});
export type ExplainedBoot = z.infer<typeof explainedBootSchema>;

/** GET /boots/MAC */
export const bootExplanationSchema = z.object({
  mac: z.string(),
  machine: z.object({ id: z.string(), name: nameSchema, state: z.string() }).nullable(),
  siteName: z.string().nullable(),
  /** Oldest first. */
  boots: z.array(explainedBootSchema),
  olderBoots: z.int(),
  silence: verdictSchema.nullable().describe("where there is no boot at all: why, and what to do"),
});
export type BootExplanation = z.infer<typeof bootExplanationSchema>;

export const roleSchema = z.enum(["admin", "operator", "ci", "viewer"]);

export const tokenSchema = z.object({
  id: z.string(),
  name: nameSchema,
  role: roleSchema,
  createdAt: epochMs,
  expiresAt: epochMs.nullable(),
});
export type Token = z.infer<typeof tokenSchema>;

export const createTokenSchema = z.strictObject({
  name: nameSchema,
  role: roleSchema,
  expiresInDays: z.int().min(1).max(3650).nullable().default(null),
});

/** The secret is shown once, here, and never again. */
export const createdTokenSchema = z.object({ token: tokenSchema, secret: z.string() });

export const eventSchema = z.object({
  id: z.int(),
  at: epochMs,
  kind: z.string(),
  severity: z.enum(["info", "warning", "alarm"]),
  siteId: z.string().nullable(),
  machineId: z.string().nullable(),
  mac: z.string().nullable(),
  summary: z.string(),
  facts,
});
export type Event = z.infer<typeof eventSchema>;

/** GET /api/v1/status: what runs and what is off, with the reason. */
export const statusSchema = z.object({
  version: z.string(),
  startedAt: epochMs,
  services: z.array(
    z.object({
      name: z.enum([
        "api",
        "boot-http",
        "dhcp",
        "proxy-dhcp",
        "tftp",
        "machine-channel",
        "site-channel",
        "boot-files",
      ]),
      state: z.enum(["on", "off"]),
      detail: z.string().describe("the address it listens on, or why it is off and what to do"),
    }),
  ),
});
export type Status = z.infer<typeof statusSchema>;

/** What is asked for by POST /rollouts/plan and POST /rollouts. */
export const rolloutRequestSchema = z.strictObject({
  /** Digest, unique prefix, NAME:VERSION or unique version. */
  image: z.string().min(1).max(255),
  /** "region=eu,tier!=lab" over site labels, "site=NAME"; empty: every site. */
  selector: z.string().max(1024).default(""),
  /** Cumulative counts and percentages, "1,5%,100%"; a lone percentage: one site, then steps of it up to 100 %. */
  waves: z.string().min(1).max(255),
  strategy: z.enum(["ab", "reimage"]).default("ab"),
  /** One machine's name or id: only this one. */
  machine: z.string().max(255).optional(),
  soakSeconds: z.int().min(0).max(604_800).default(60),
  machineTimeoutSeconds: z.int().min(60).max(86_400).default(900),
  /** The order of the sites is drawn with it; left out: the image's digest. */
  seed: z.string().max(64).optional(),
  /** Run exactly the plan with this hash, or refuse. */
  planHash: z.string().optional(),
});
export type RolloutRequest = z.infer<typeof rolloutRequestSchema>;

const plannedSiteSchema = z.object({
  siteId: z.string(),
  name: z.string(),
  baselineBefore: imageDigestSchema.nullable(),
  machines: z.array(z.object({ machineId: z.string(), name: z.string(), from: imageDigestSchema })),
});

export const rolloutPlanSchema = z.object({
  hash: z.string(),
  image: imageDigestSchema,
  imageName: z.string(),
  /** By which the image was asked for; it may stand elsewhere by now. */
  imageTag: z.string().optional(),
  strategy: z.enum(["ab", "reimage"]),
  selector: z.string(),
  /** Name of the only machine that was asked for. */
  machine: z.string().optional(),
  seed: z.string(),
  waves: z.array(z.object({ label: z.string(), sites: z.array(plannedSiteSchema) })),
  deferred: z.array(z.object({ name: z.string(), reason: z.string() })),
  soakSeconds: z.int(),
  machineTimeoutSeconds: z.int(),
});
export type RolloutPlan = z.infer<typeof rolloutPlanSchema>;

const machineProgressSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("queued") }),
  z.object({
    kind: z.literal("updating"),
    attempt: z.int(),
    grantedAt: epochMs,
    phase: z.string(),
    doneBytes: z.int(),
    totalBytes: z.int(),
  }),
  z.object({ kind: z.literal("confirmed"), attempt: z.int(), bootId: z.string(), at: epochMs }),
  z.object({ kind: z.literal("fell-back"), attempt: z.int(), reason: z.string(), at: epochMs }),
  z.object({ kind: z.literal("failed"), attempt: z.int(), reason: z.string(), at: epochMs }),
  z.object({ kind: z.literal("returning"), attempt: z.int(), grantedAt: epochMs }),
  z.object({ kind: z.literal("returned"), image: imageDigestSchema, bootId: z.string(), at: epochMs }),
  z.object({ kind: z.literal("untouched"), image: imageDigestSchema, bootId: z.string() }),
]);

const waveStateSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("pending") }),
  z.object({ kind: z.literal("open"), openedAt: epochMs }),
  z.object({ kind: z.literal("soaking"), until: epochMs }),
  z.object({ kind: z.literal("held"), reason: z.string() }),
  z.object({ kind: z.literal("passed"), at: epochMs }),
  z.object({ kind: z.literal("failed"), reason: z.string(), at: epochMs }),
]);

export const rolloutStateSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("running") }),
  z.object({ kind: z.literal("paused"), by: z.string(), at: epochMs }),
  z.object({ kind: z.literal("rolling-back"), reason: z.string(), since: epochMs }),
  z.object({ kind: z.literal("done"), at: epochMs }),
  z.object({ kind: z.literal("rolled-back"), reason: z.string(), at: epochMs }),
  z.object({ kind: z.literal("rollback-incomplete"), reason: z.string(), at: epochMs }),
]);

/**
 * GET /rollouts, /rollouts/ID; POST /rollouts starts one; POST /rollouts/ID/{pause,resume,rollback} answer it changed.
 * POST /rollouts/plan answers the plan alone and changes nothing.
 */
export const rolloutSchema = z.object({
  id: z.string(),
  plan: rolloutPlanSchema,
  state: rolloutStateSchema,
  waves: z.array(waveStateSchema),
  machines: z.record(z.string(), machineProgressSchema),
  startedBy: z.string(),
  createdAt: epochMs,
  updatedAt: epochMs,
  revision: z.int(),
});
export type Rollout = z.infer<typeof rolloutSchema>;
