/**
 * Turns an empty disk into an A/B machine: table, slot A, data, loader. A power cut at any moment leaves a disk that the
 * same intent may start over on, and that boots nothing until its slot is proven.
 */
import { DrpError } from "../../core/errors.ts";
import type { RandomBytes } from "../../core/ids.ts";
import type { DiskContent } from "../disk-content.ts";
import { type DiskOrder, type DiskPlan, PARTITION_ROLES, refuseContent } from "../disk-plan.ts";
import { encodeGpt } from "../gpt.ts";
import { type LoaderFiles, planLoader } from "../install-loader.ts";
import type { ImageDigest, Manifest, Payload } from "../manifest.ts";
import { encodeProtectiveMbr } from "../mbr.ts";
import { type FillTally, type SlotPast, zeroRanges } from "../slot-fill.ts";
import { Disk } from "./disk.ts";
import type { FetchFrame } from "./fetch-image.ts";
import { fillSlot, verifySlot } from "./install-slot.ts";
import { readDiskContent } from "./read-disk-content.ts";
import { runTool } from "./run-tool.ts";
import { zeroDisk } from "./zero-disk.ts";

export interface DiskInstall {
  readonly plan: DiskPlan;
  readonly order: DiskOrder;
  readonly digest: ImageDigest;
  readonly manifest: Manifest;
  readonly payload: Payload;
  readonly loader: LoaderFiles;
  /** Becomes the content of drp-data. */
  readonly dataFolder: string;
  readonly fetchFrame: FetchFrame;
  readonly randomBytes: RandomBytes;
  readonly onProgress: (phase: "partitioning" | "writing" | "verifying", doneBytes: number) => void;
}

/** The boot sector of FAT32 and its backup, and room to spare. */
const ESP_HEAD_BYTES = 64 * 1024;

/**
 * An install of the same intent that was cut off goes on: what its slot holds already is neither fetched nor written again.
 *
 * @returns where slot A's bytes came from
 * @throws {DrpError} disk.refused before anything is written; disk.failed, bundle.tampered, or the network's later
 */
export async function installDisk(install: DiskInstall): Promise<FillTally> {
  const { plan, payload, onProgress } = install;
  let tally: FillTally;
  onProgress("partitioning", 0);
  {
    await using disk = await Disk.open(plan.disk.path, plan.disk.sizeBytes, "write");
    const content = await readDiskContent(disk, plan.disk.sectorBytes);
    requireFree(content, install);
    const past = await prepareSlot(disk, content, install);
    await claimDisk(disk, plan);
    onProgress("writing", 0);
    tally = await fillSlot({
      disk,
      slotOffsetBytes: plan.partitions.a.offsetBytes,
      payload,
      past,
      fetchFrame: install.fetchFrame,
      onBytesDone: done => onProgress("writing", done),
    });
    onProgress("verifying", 0);
    await verifySlot(disk, plan.partitions.a.offsetBytes, payload, done => onProgress("verifying", done));
  }
  // mkfs opens the disk for itself alone too, so it cannot be open here.
  await makeDataFileSystem(install);
  {
    await using disk = await Disk.open(plan.disk.path, plan.disk.sizeBytes, "write");
    await writeLoader(disk, install);
  }
  return tally;
}

/** Finds out what the slot is before it is filled, and lets the disk make its zeros where the disk can. */
async function prepareSlot(
  disk: Disk,
  content: DiskContent,
  { plan, payload }: DiskInstall,
): Promise<SlotPast> {
  if (content.kind === "used" && content.diskGuid === plan.diskGuid) return "image";
  const { offsetBytes } = plan.partitions.a;
  const ranges = zeroRanges(payload).map(range => ({
    ...range,
    offsetBytes: offsetBytes + range.offsetBytes,
  }));
  return (await zeroDisk(disk, ranges)) ? "zeroed" : "foreign";
}

function requireFree(content: DiskContent, { plan, order }: DiskInstall): void {
  const refusal = refuseContent(plan, content, order);
  if (refusal !== undefined) throw new DrpError(refusal.code, refusal.message, { advice: refusal.advice });
}

/** From the first sector on the disk is known as this intent's; what it booted before boots no more. */
async function claimDisk(disk: Disk, plan: DiskPlan): Promise<void> {
  const partitions = PARTITION_ROLES.map(role => plan.partitions[role]);
  const gpt = encodeGpt({ diskGuid: plan.diskGuid, partitions }, plan.disk);
  await disk.write(gpt.primaryHeader);
  await disk.flush();
  await disk.write({ offsetBytes: 0, bytes: encodeProtectiveMbr(plan.disk) });
  await disk.write({ offsetBytes: plan.partitions.esp.offsetBytes, bytes: Buffer.alloc(ESP_HEAD_BYTES) });
  for (const extent of gpt.rest) await disk.write(extent);
  await disk.flush();
}

/** Made and filled in one go, by offset into the disk: needs no partition nodes, no mount and no file system driver. */
async function makeDataFileSystem({ plan, dataFolder }: DiskInstall): Promise<void> {
  const { offsetBytes, sizeBytes, label } = plan.partitions.data;
  // The tables are zeroed by the kernel after the first mount. Without the discard an old disk's whole rest is not erased
  // here, which can take minutes.
  const extended = `offset=${offsetBytes},nodiscard,lazy_itable_init=1`;
  const size = `${sizeBytes / 1024}k`;
  await runTool("mkfs.ext4", [
    "-q",
    "-F",
    "-L",
    label,
    "-E",
    extended,
    "-d",
    dataFolder,
    plan.disk.path,
    size,
  ]);
}

async function writeLoader(disk: Disk, install: DiskInstall): Promise<void> {
  const slotA = {
    partitionGuid: install.plan.partitions.a.guid,
    digest: install.digest,
    kernelArguments: install.manifest.kernelArguments,
  };
  const volumeId = Buffer.from(install.randomBytes(4)).readUInt32LE();
  for (const extent of planLoader(install.plan, slotA, install.loader, volumeId)) await disk.write(extent);
  await disk.flush();
}
