/**
 * Chooses the disk of an A/B machine and divides it. Decides from sizes and leave alone; what the chosen disk holds is
 * judged afterwards, so that no other disk is ever read.
 */
import { hash } from "node:crypto";
import { formatBytes } from "../core/bytes.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { RandomBytes } from "../core/ids.ts";
import type { DiskContent } from "./disk-content.ts";
import { type GptPartition, type Guid, guidFromHash, guidFromRandom, usableRange } from "./gpt.ts";

export interface CandidateDisk {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly removable: boolean;
}

/** The part of an install order that concerns disks. */
export interface DiskOrder {
  readonly intentId: string;
  /** Null: the smallest disk that is not removable and holds the image. */
  readonly diskPath: string | null;
  readonly wipe: boolean;
}

/** In the order of their numbers on the disk. */
export const PARTITION_ROLES = ["bios", "esp", "a", "b", "data"] as const;
type PartitionRole = (typeof PARTITION_ROLES)[number];

export interface DiskPlan {
  readonly disk: CandidateDisk;
  /** Derived from the intent: a later run of the same intent knows the disk by it. */
  readonly diskGuid: Guid;
  readonly partitions: Readonly<Record<PartitionRole, GptPartition>>;
}

export interface DiskRefusal {
  readonly kind: "refuse";
  readonly code: Extract<ErrorCode, "disk.refused" | "disk.too-small">;
  readonly message: string;
  readonly advice: string;
}

const MIB = 1024 * 1024;
/** core.img of GRUB with the modules that we need takes 200 KiB. */
const BIOS_BYTES = MIB;
/** FAT32 needs 65,525 clusters, and a cluster is at least one sector; the loader's files take 5 MiB. */
const ESP_BYTES = { 512: 64 * MIB, 4096: 288 * MIB };
/** Identity, logs, and container layers of the smallest lab machine. */
const MIN_DATA_BYTES = 64 * MIB;

/** Partition types: Discoverable Partitions Specification, and GRUB's BIOS boot partition. */
const TYPE_BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649" as Guid;
const TYPE_ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" as Guid;
const TYPE_LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4" as Guid;

/** The GUID that marks a disk as belonging to one install intent. */
export function diskGuidOfIntent(intentId: string): Guid {
  return guidFromHash(hash("sha256", `drp install intent ${intentId}`, "buffer"));
}

/**
 * @param imageBytes of the raw image
 * @param firmware a BIOS reads a boot sector of 512 bytes only
 */
export function planDisk(request: {
  readonly disks: readonly CandidateDisk[];
  readonly order: DiskOrder;
  readonly imageBytes: number;
  readonly firmware: "bios" | "uefi";
  readonly randomBytes: RandomBytes;
}): { readonly kind: "plan"; readonly plan: DiskPlan } | DiskRefusal {
  const candidates = request.disks
    .filter(disk => disk.path === request.order.diskPath || request.order.diskPath === null)
    .sort((one, other) => one.sizeBytes - other.sizeBytes || (one.path < other.path ? -1 : 1));
  const usable = candidates.filter(disk => unsuitability(disk, request.firmware) === null);
  const [largest] = usable.slice(-1);
  if (largest === undefined) return refuseAll(candidates, request);
  for (const disk of usable) {
    const partitions = layOut(disk, request.imageBytes, request.randomBytes);
    if (partitions === undefined) continue;
    return { kind: "plan", plan: { disk, diskGuid: diskGuidOfIntent(request.order.intentId), partitions } };
  }
  return {
    kind: "refuse",
    code: "disk.too-small",
    message:
      `the image of ${formatBytes(request.imageBytes)} needs a disk of at least ` +
      `${formatBytes(neededBytes(largest, request.imageBytes))} (two slots, loader and data); ` +
      `${largest.path} has ${formatBytes(largest.sizeBytes)}`,
    advice: "Put in a larger disk, or build a smaller image.",
  };
}

/**
 * @param content of the planned disk
 * @returns undefined when the disk may be written
 */
export function refuseContent(
  plan: DiskPlan,
  content: DiskContent,
  order: DiskOrder,
): DiskRefusal | undefined {
  if (content.kind === "empty" || order.wipe || content.diskGuid === plan.diskGuid) return undefined;
  return {
    kind: "refuse",
    code: "disk.refused",
    message: `${plan.disk.path} (${formatBytes(plan.disk.sizeBytes)}) holds ${content.description}`,
    advice:
      "If nothing on it is needed, order the install again with --wipe; or name another disk with --disk.",
  };
}

/** Why a disk is out of the question, or null. */
function unsuitability(disk: CandidateDisk, firmware: "bios" | "uefi"): string | null {
  if (disk.removable) return "removable";
  if (disk.sectorBytes !== 512 && disk.sectorBytes !== 4096) return `sectors of ${disk.sectorBytes} bytes`;
  if (firmware === "bios" && disk.sectorBytes !== 512)
    return "sectors of 4096 bytes, which a BIOS cannot boot";
  return null;
}

function refuseAll(
  candidates: readonly CandidateDisk[],
  request: {
    readonly order: DiskOrder;
    readonly firmware: "bios" | "uefi";
    readonly disks: readonly CandidateDisk[];
  },
): DiskRefusal {
  const { diskPath } = request.order;
  const list = (disks: readonly CandidateDisk[]) =>
    disks.map(disk => {
      const reason = unsuitability(disk, request.firmware);
      return `${disk.path} ${formatBytes(disk.sizeBytes)}${reason === null ? "" : ` (${reason})`}`;
    });
  if (diskPath !== null && candidates.length === 0) {
    const found = list(request.disks).join(", ") || "none";
    return {
      kind: "refuse",
      code: "disk.refused",
      message: `the machine has no disk ${diskPath}; it has: ${found}`,
      advice: "Order the install again with a disk that it has.",
    };
  }
  return {
    kind: "refuse",
    code: "disk.refused",
    message: `no disk may be installed to; found: ${list(candidates).join(", ") || "none"}`,
    advice: "Put in a fixed disk, or check that its controller's driver is in the ramdisk.",
  };
}

/**
 * Both slots are equal. A slot gets a third of the room, but no more than twice the image (enough to grow), no less than the
 * image, and never what data needs at least; data gets the rest.
 *
 * @returns undefined when that does not fit
 */
function layOut(
  disk: CandidateDisk,
  imageBytes: number,
  randomBytes: RandomBytes,
): DiskPlan["partitions"] | undefined {
  const endBytes = floorMib(usableRange(disk).endBytes);
  const espOffset = MIB + BIOS_BYTES;
  const slotsOffset = espOffset + espBytes(disk);
  const roomBytes = endBytes - slotsOffset;
  const imageSlot = ceilMib(imageBytes);
  const largestSlot = floorMib((roomBytes - MIN_DATA_BYTES) / 2);
  if (largestSlot < imageSlot) return undefined;
  const slotBytes = Math.min(2 * imageSlot, Math.max(imageSlot, floorMib(roomBytes / 3)), largestSlot);
  const dataOffset = slotsOffset + 2 * slotBytes;

  const partition = (role: PartitionRole, typeGuid: Guid, offsetBytes: number, sizeBytes: number) => ({
    label: `drp-${role}`,
    typeGuid,
    guid: guidFromRandom(randomBytes(16)),
    offsetBytes,
    sizeBytes,
  });
  return {
    bios: partition("bios", TYPE_BIOS_BOOT, MIB, BIOS_BYTES),
    esp: partition("esp", TYPE_ESP, espOffset, espBytes(disk)),
    a: partition("a", TYPE_LINUX, slotsOffset, slotBytes),
    b: partition("b", TYPE_LINUX, slotsOffset + slotBytes, slotBytes),
    data: partition("data", TYPE_LINUX, dataOffset, endBytes - dataOffset),
  };
}

/** The smallest disk with this sector size that would do; one MiB for the table at either end. */
function neededBytes(disk: CandidateDisk, imageBytes: number): number {
  return 2 * MIB + BIOS_BYTES + espBytes(disk) + 2 * ceilMib(imageBytes) + MIN_DATA_BYTES;
}

function espBytes(disk: CandidateDisk): number {
  return disk.sectorBytes === 4096 ? ESP_BYTES[4096] : ESP_BYTES[512];
}

function ceilMib(sizeBytes: number): number {
  return Math.ceil(sizeBytes / MIB) * MIB;
}

function floorMib(sizeBytes: number): number {
  return Math.floor(sizeBytes / MIB) * MIB;
}
