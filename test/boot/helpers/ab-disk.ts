/** Makes the disk of an A/B machine in a file, from the same encoders that the installer uses. */
import { execFile } from "node:child_process";
import { type FileHandle, open, readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { BootPackages } from "../../../boot/boot-packages.ts";
import { encodeFatVolume } from "../../../src/images/fat-volume.ts";
import { type EncodedGpt, encodeGpt, type GptPartition, type Guid } from "../../../src/images/gpt.ts";
import { encodeProtectiveMbr, patchBootSector, patchCoreImage } from "../../../src/images/mbr.ts";
import { encodeSlotConfig, type Slot } from "../../../src/images/slot-config.ts";

const MIB = 1024 * 1024;
const SECTOR_BYTES = 512;
const ESP_BYTES = 48 * MIB;
const DATA_BYTES = 16 * MIB;
const LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4" as Guid;
const BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649" as Guid;
const ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" as Guid;
const GRUB_ENV_HEADER = "# GRUB Environment Block\n";

export const SLOT_DIGESTS = { a: `sha256:${"a".repeat(64)}`, b: `sha256:${"b".repeat(64)}` } as const;

export interface AbDisk {
  /** As on the ESP. */
  readonly grubEnv: Uint8Array;
  /** Folders that become the slots' ext4; null: the partition is there, its slot-X.cfg says that it is empty. */
  readonly slots: Readonly<Record<Slot, { readonly rootfs?: string } | null>>;
  readonly slotBytes: number;
  /** Holds DISK_LOADER_FILES. */
  readonly loaderDir: string;
  readonly packages: BootPackages;
}

export async function makeAbDisk(file: string, disk: AbDisk): Promise<void> {
  const partitions = layOut(disk.slotBytes);
  const last = at(partitions, 4);
  const geometry = { sizeBytes: last.offsetBytes + last.sizeBytes + MIB, sectorBytes: SECTOR_BYTES };
  const handle = await open(file, "w");
  try {
    await handle.truncate(geometry.sizeBytes);
    await writeGpt(handle, encodeGpt({ diskGuid: guid(9), partitions }, geometry));
    await writeBiosLoader(handle, disk.loaderDir, at(partitions, 0), encodeProtectiveMbr(geometry));
    const esp = await encodeEsp(disk, partitions);
    await handle.write(esp, 0, esp.length, at(partitions, 1).offsetBytes);
  } finally {
    await handle.close();
  }
  for (const [slot, index] of [
    ["a", 2],
    ["b", 3],
  ] as const) {
    const rootfs = disk.slots[slot]?.rootfs;
    if (rootfs !== undefined) await makeExt4(disk.packages, file, at(partitions, index), ["-d", rootfs]);
  }
  await makeExt4(disk.packages, file, last, []);
}

/** The variables as GRUB left them. */
export async function readGrubEnv(file: string): Promise<string> {
  const disk = await readFile(file);
  // GRUB's own code holds the same words, earlier on the disk.
  const offset = disk.lastIndexOf(GRUB_ENV_HEADER);
  return disk.toString("latin1", offset + GRUB_ENV_HEADER.length, disk.indexOf("##", offset));
}

function layOut(slotBytes: number): GptPartition[] {
  const sizes = [MIB, ESP_BYTES, slotBytes, slotBytes, DATA_BYTES];
  const labels = ["drp-bios", "drp-esp", "drp-a", "drp-b", "drp-data"];
  const types = [BIOS_BOOT, ESP, LINUX_DATA, LINUX_DATA, LINUX_DATA];
  let offsetBytes = MIB;
  return sizes.map((sizeBytes, index) => {
    const partition = {
      label: at(labels, index),
      typeGuid: at(types, index),
      guid: guid(index),
      offsetBytes,
      sizeBytes,
    };
    offsetBytes += sizeBytes;
    return partition;
  });
}

async function writeGpt(handle: FileHandle, gpt: EncodedGpt): Promise<void> {
  for (const { bytes, offsetBytes } of [...gpt.rest, gpt.primaryHeader]) {
    await handle.write(bytes, 0, bytes.length, offsetBytes);
  }
}

async function writeBiosLoader(handle: FileHandle, loaderDir: string, room: GptPartition, mbr: Buffer) {
  const coreLba = room.offsetBytes / SECTOR_BYTES;
  const core = patchCoreImage(await readFile(path.join(loaderDir, "core.img")), coreLba, room.sizeBytes);
  await handle.write(core, 0, core.length, room.offsetBytes);
  await handle.write(
    patchBootSector(mbr, await readFile(path.join(loaderDir, "boot.img")), coreLba),
    0,
    512,
    0,
  );
}

async function encodeEsp(disk: AbDisk, partitions: readonly GptPartition[]): Promise<Buffer> {
  const slotConfig = (slot: Slot) =>
    Buffer.from(
      encodeSlotConfig(
        disk.slots[slot] && {
          partitionGuid: at(partitions, slot === "a" ? 2 : 3).guid,
          digest: SLOT_DIGESTS[slot],
          kernelArguments: ["quiet", "console=tty0", "console=ttyS0,115200"],
        },
      ),
    );
  return encodeFatVolume({
    sizeBytes: ESP_BYTES,
    sectorBytes: SECTOR_BYTES,
    offsetBytes: at(partitions, 1).offsetBytes,
    label: "DRP-ESP",
    volumeId: 1,
    files: [
      {
        path: "/EFI/BOOT/BOOTX64.EFI",
        content: await readFile(path.join(disk.loaderDir, "BOOTX64.EFI")),
      },
      { path: "/drp/grub.cfg", content: await readFile(path.join(disk.loaderDir, "grub.cfg")) },
      { path: "/drp/grubenv", content: disk.grubEnv },
      { path: "/drp/slot-a.cfg", content: slotConfig("a") },
      { path: "/drp/slot-b.cfg", content: slotConfig("b") },
    ],
  });
}

async function makeExt4(
  packages: BootPackages,
  file: string,
  partition: GptPartition,
  args: readonly string[],
): Promise<void> {
  await promisify(execFile)(
    path.join(packages.e2fsprogs.root, "sbin/mkfs.ext4"),
    ["-q", "-F", ...args, "-E", `offset=${partition.offsetBytes}`, file, `${partition.sizeBytes / 1024}k`],
    { env: { LD_LIBRARY_PATH: packages.libraryDirs.join(":") } },
  );
}

function guid(index: number): Guid {
  return `00000000-0000-4000-8000-00000000000${index}` as Guid;
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${index}`);
  return item;
}
