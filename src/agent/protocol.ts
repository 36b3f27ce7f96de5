/**
 * What a machine agent and its site say to each other, at https://SITE:8443/machine/v1. The machine proves who it is by
 * its TLS client certificate: the site knows the SHA-256 of its public key (SPKI) from the registration on.
 *
 *   POST /register                  boot token → machine id            (once per boot of the ramdisk)
 *   POST /next                      what should I do?                  (ramdisk, until it is told)
 *   GET  /images/DIGEST             manifest and signature             (of the ordered image, or of the target)
 *   POST /progress                  how far the install got            (ramdisk)
 *   POST /heartbeat                 health of the installed system     (installed OS)
 *   GET  /key-lists                 who may sign images, oldest first  (installed OS, when the answer names a newer list)
 *
 * Chunks come from the open boot HTTP server (http://SITE:8091/chunks/HEX, each one zstd frame): their digests protect
 * them.
 */
import { z } from "zod";
import { ARCHITECTURES } from "../core/architecture.ts";
import { imageDigestSchema, signatureSchema } from "../images/manifest.ts";

/** Raised when an old agent could misread a new message. Rolled-back images carry older agents. */
export const MACHINE_PROTOCOL_VERSION = 1;

const name = z.string().min(1).max(253);
const macAddress = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
/** The kernel's /proc/sys/kernel/random/boot_id. */
const bootId = z.uuid();
const epochMs = z.int().nonnegative();

export const diskSchema = z.object({
  path: z.string().startsWith("/dev/").max(64),
  sizeBytes: z.int().nonnegative(),
  sectorBytes: z.int().positive(),
  model: z.string().max(128),
  serial: z.string().max(128),
  rotational: z.boolean(),
  removable: z.boolean(),
  /** A partition table or a file system's signature was found on it. Such a disk is only overwritten where wiping is ordered. */
  holdsData: z.boolean(),
});
export type Disk = z.infer<typeof diskSchema>;

export const inventorySchema = z.object({
  architecture: z.enum(ARCHITECTURES),
  firmware: z.enum(["bios", "uefi"]),
  cpu: z.object({ model: z.string().max(256), threads: z.int().positive() }),
  memoryBytes: z.int().nonnegative(),
  disks: z.array(diskSchema).max(256),
  nics: z
    .array(
      z.object({
        name: z.string().max(32),
        mac: macAddress,
        driver: z.string().max(64),
        carrier: z.boolean(),
      }),
    )
    .max(64),
  /** /sys/class/dmi/id; empty where the firmware says nothing. */
  dmi: z.object({
    vendor: z.string().max(128),
    product: z.string().max(128),
    serial: z.string().max(128),
    uuid: z.string().max(64),
  }),
});
export type Inventory = z.infer<typeof inventorySchema>;

export const registerRequestSchema = z.object({
  protocolVersion: z.literal(MACHINE_PROTOCOL_VERSION),
  /** From the boot script; lives minutes and is bound to the machine's MAC address and intent. */
  bootToken: z.string().min(20).max(128),
  /** The interface that the machine booted from. */
  bootMac: macAddress,
  bootId,
  inventory: inventorySchema,
});
export type RegisterRequest = z.infer<typeof registerRequestSchema>;

export const registerAnswerSchema = z.object({
  machineId: name,
  machineName: name,
});
export type RegisterAnswer = z.infer<typeof registerAnswerSchema>;

export const installOrderSchema = z.object({
  intentId: name,
  image: imageDigestSchema,
  /** Given by the hub, one more at each install; the first part of a heartbeat's order. */
  installGeneration: z.int().positive(),
  /** The disk to use, or null: the smallest disk that is not removable and holds the image. */
  diskPath: z.string().startsWith("/dev/").max(64).nullable(),
  /** Whether a disk that already holds partitions or a file system may be overwritten. */
  wipe: z.boolean(),
});
export type InstallOrder = z.infer<typeof installOrderSchema>;

export const nextAnswerSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("wait"), reason: z.string(), pollSeconds: z.int().positive() }),
  z.object({ kind: z.literal("install"), order: installOrderSchema }),
  z.object({ kind: z.literal("boot-disk"), reason: z.string() }),
]);
export type NextAnswer = z.infer<typeof nextAnswerSchema>;

export const signedManifestSchema = z.object({
  /** The canonical manifest, exactly the bytes that were signed. */
  manifestText: z.string().max(8 * 1024 * 1024),
  signature: signatureSchema,
});
export type SignedManifest = z.infer<typeof signedManifestSchema>;

export const INSTALL_PHASES = ["partitioning", "writing", "verifying", "booting", "failed"] as const;

export const progressSchema = z.object({
  intentId: name,
  phase: z.enum(INSTALL_PHASES),
  /** Of the raw image, both. */
  doneBytes: z.int().nonnegative(),
  totalBytes: z.int().nonnegative(),
  /** For "failed": what happened, to what, what to do next. Otherwise empty. */
  message: z.string().max(4096),
});
export type InstallProgress = z.infer<typeof progressSchema>;

export const healthResultSchema = z.object({
  name,
  status: z.enum(["pass", "fail", "no-data"]),
  detail: z.string().max(4096),
});
export type HealthResult = z.infer<typeof healthResultSchema>;

/**
 * How far a machine got with the target that it was given. "armed" and everything before it leave the running system as it
 * is; "trial" is the target's first boot; only "confirmed" is a success.
 */
export const UPDATE_PHASES = [
  "fetching",
  "written",
  "armed",
  "trial",
  "confirmed",
  "fell-back",
  "failed",
] as const;

export const updateReportSchema = z.object({
  rolloutId: name,
  attempt: z.int().positive(),
  /** The target's image, not the one that runs. */
  image: imageDigestSchema,
  phase: z.enum(UPDATE_PHASES),
  /** Of the raw image, both. */
  doneBytes: z.int().nonnegative(),
  totalBytes: z.int().nonnegative(),
  /** Why it fell back or failed; empty otherwise. */
  reason: z.string().max(4096),
});
export type UpdateReport = z.infer<typeof updateReportSchema>;

/** What a machine should run, and how far it may go towards it now. */
export const machineTargetSchema = z.object({
  rolloutId: name,
  /** One more each time the machine is given a target; reports of an older attempt count for nothing. */
  attempt: z.int().positive(),
  image: imageDigestSchema,
  /** `ab`: write the other slot and boot it on trial. `reimage`: reboot into the network; an install order waits there. */
  strategy: z.enum(["ab", "reimage"]),
  /** "nothing" while paused: stop fetching, do not write, do not reboot. */
  may: z.enum(["nothing", "reboot"]),
});
export type MachineTarget = z.infer<typeof machineTargetSchema>;

export const heartbeatSchema = z.object({
  protocolVersion: z.literal(MACHINE_PROTOCOL_VERSION),
  agentVersion: z.string().max(64),
  /** Order is (installGeneration, bootCount, seq); clocks are not trusted. */
  installGeneration: z.int().positive(),
  bootCount: z.int().positive(),
  seq: z.int().positive(),
  bootId,
  slot: z.enum(["a", "b"]),
  image: imageDigestSchema,
  uptimeSeconds: z.number().nonnegative(),
  /** For people; never used to order anything. */
  sentAt: epochMs,
  health: z.array(healthResultSchema).max(128),
  /** Whether GRUB boots this slot again by itself; false during a trial. Older agents know no trial. */
  slotConfirmed: z.boolean().default(true),
  /** The newest target that this machine has dealt with; kept over reboots. */
  update: updateReportSchema.nullable().default(null),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

export const heartbeatAnswerSchema = z.object({
  /** The newest order that is safely kept; the agent sends nothing at or below it again. */
  acknowledged: z.object({ bootCount: z.int(), seq: z.int() }),
  intervalSeconds: z.int().positive(),
  /** Null: stay with what runs. A target that is confirmed, failed or fallen back stays here until the hub takes it away. */
  target: machineTargetSchema.nullable().default(null),
  /** Version of the newest list of image keys that the site has; older sites know none. */
  keyListVersion: z.int().nonnegative().default(0),
});
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;

/** Every refusal of the machine channel: RFC 9457, with a stable code. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  advice: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;
