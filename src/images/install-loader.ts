/** Everything that makes an installed disk boot, as extents: written last, so that no half-written slot ever starts. */

import type { DiskPlan } from "./disk-plan.ts";
import { encodeFatVolume } from "./fat-volume.ts";
import type { Extent } from "./gpt.ts";
import { encodeGrubEnv } from "./grub-env.ts";
import { BOOT_SECTOR_BYTES, encodeProtectiveMbr, patchBootSector, patchCoreImage } from "./mbr.ts";
import { encodeSlotConfig, type SlotContent } from "./slot-config.ts";

/** Built with the boot files: GRUB for BIOS (boot.img, core.img), GRUB for UEFI, and the script that both run. */
export interface LoaderFiles {
  readonly bootImage: Uint8Array;
  readonly coreImage: Uint8Array;
  readonly efiImage: Uint8Array;
  readonly grubConfig: Uint8Array;
}

/** @param volumeId 32 random bits for the ESP */
export function planLoader(
  plan: DiskPlan,
  slotA: SlotContent,
  loader: LoaderFiles,
  volumeId: number,
): Extent[] {
  const { disk, partitions } = plan;
  const esp = encodeFatVolume({
    sizeBytes: partitions.esp.sizeBytes,
    offsetBytes: partitions.esp.offsetBytes,
    sectorBytes: disk.sectorBytes,
    label: "DRP-ESP",
    volumeId,
    files: [
      { path: "/EFI/BOOT/BOOTX64.EFI", content: loader.efiImage },
      { path: "/drp/grub.cfg", content: loader.grubConfig },
      {
        path: "/drp/grubenv",
        content: encodeGrubEnv({ confirmed: "a", trial: null, tries: 0, attempt: 0 }),
      },
      { path: "/drp/slot-a.cfg", content: Buffer.from(encodeSlotConfig(slotA)) },
      { path: "/drp/slot-b.cfg", content: Buffer.from(encodeSlotConfig(null)) },
    ],
  });
  return [{ offsetBytes: partitions.esp.offsetBytes, bytes: esp }, ...planBiosBoot(plan, loader)];
}

/** A disk with sectors of 4096 bytes boots by UEFI alone. */
function planBiosBoot({ disk, partitions }: DiskPlan, loader: LoaderFiles): Extent[] {
  if (disk.sectorBytes !== BOOT_SECTOR_BYTES) return [];
  const { offsetBytes, sizeBytes } = partitions.bios;
  const coreLba = offsetBytes / BOOT_SECTOR_BYTES;
  return [
    { offsetBytes, bytes: patchCoreImage(loader.coreImage, coreLba, sizeBytes) },
    { offsetBytes: 0, bytes: patchBootSector(encodeProtectiveMbr(disk), loader.bootImage, coreLba) },
  ];
}
