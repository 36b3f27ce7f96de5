/**
 * GRUB for the machine's own disk, prebuilt whole, so that the ramdisk carries files and no GRUB tools. The installer puts
 * boot.img and core.img into an A/B disk by patching sector numbers, the rest onto the ESP.
 */
import { execFile } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { BootPackages } from "./boot-packages.ts";

const run = promisify(execFile);

/**
 * boot.img: the disk's first sector; core.img: the partition drp-bios; on the ESP BOOTX64.EFI is /EFI/BOOT/BOOTX64.EFI and
 * grub.cfg is /drp/grub.cfg.
 */
export const DISK_LOADER_FILES = ["boot.img", "core.img", "BOOTX64.EFI", "grub.cfg"] as const;

/** What grub.cfg uses, and what reads GPT, FAT and ext4. */
const MODULES = [
  "part_gpt",
  "fat",
  "ext2",
  "normal",
  "configfile",
  "loadenv",
  "test",
  "regexp",
  "echo",
  "sleep",
  "serial",
  "terminal",
  "linux",
  "boot",
  "reboot",
];

/**
 * @param outDir gets DISK_LOADER_FILES
 */
export async function buildDiskLoader(
  packages: Pick<BootPackages, "grubCommon" | "grubPc" | "grubEfi" | "libraryDirs">,
  outDir: string,
): Promise<void> {
  await mkdir(outDir, { recursive: true });
  const makeImage = (args: readonly string[]) =>
    run(path.join(packages.grubCommon.root, "usr/bin/grub-mkimage"), [...args, ...MODULES], {
      env: { LD_LIBRARY_PATH: packages.libraryDirs.join(":") },
    });
  const biosModules = path.join(packages.grubPc.root, "usr/lib/grub/i386-pc");
  const efiModules = path.join(packages.grubEfi.root, "usr/lib/grub/x86_64-efi");
  const built = (name: (typeof DISK_LOADER_FILES)[number]) => path.join(outDir, name);
  // A prefix without a disk means the disk that GRUB was loaded from: never another one with the same labels.
  await makeImage([
    "-O",
    "i386-pc",
    "-d",
    biosModules,
    "-p",
    "(,gpt2)/drp",
    "-o",
    built("core.img"),
    "biosdisk",
  ]);
  await makeImage([
    "-O",
    "x86_64-efi",
    "-d",
    efiModules,
    "-p",
    "/drp",
    "-o",
    built("BOOTX64.EFI"),
    "efi_gop",
  ]);
  await copyFile(path.join(biosModules, "boot.img"), built("boot.img"));
  await copyFile(path.join(import.meta.dirname, "grub/grub.cfg"), built("grub.cfg"));
}
