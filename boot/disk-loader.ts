/**
 * GRUB for the machine's own disk, prebuilt whole, so that the ramdisk carries files and no GRUB tools. The installer puts
 * boot.img and core.img into an A/B disk by patching sector numbers, the rest onto the ESP.
 */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface DiskLoader {
  /** First sector of the disk, 512 bytes. */
  readonly bootImage: string;
  /** Content of the partition drp-bios. */
  readonly coreImage: string;
  /** /EFI/BOOT/BOOTX64.EFI on the ESP. */
  readonly efiImage: string;
  /** /drp/grub.cfg on the ESP. */
  readonly script: string;
}

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

/** @param packages unpacked folders; @param libraryDirs where grub-mkimage finds its libraries */
export async function buildDiskLoader(
  packages: { grubCommon: string; grubPc: string; grubEfi: string; libraryDirs: readonly string[] },
  outDir: string,
): Promise<DiskLoader> {
  await mkdir(outDir, { recursive: true });
  const makeImage = (args: readonly string[]) =>
    run(path.join(packages.grubCommon, "usr/bin/grub-mkimage"), [...args, ...MODULES], {
      env: { LD_LIBRARY_PATH: packages.libraryDirs.join(":") },
    });
  const biosModules = path.join(packages.grubPc, "usr/lib/grub/i386-pc");
  const efiModules = path.join(packages.grubEfi, "usr/lib/grub/x86_64-efi");
  const coreImage = path.join(outDir, "core.img");
  const efiImage = path.join(outDir, "BOOTX64.EFI");
  // A prefix without a disk means the disk that GRUB was loaded from: never another one with the same labels.
  await makeImage(["-O", "i386-pc", "-d", biosModules, "-p", "(,gpt2)/drp", "-o", coreImage, "biosdisk"]);
  await makeImage(["-O", "x86_64-efi", "-d", efiModules, "-p", "/drp", "-o", efiImage]);
  return {
    bootImage: path.join(biosModules, "boot.img"),
    coreImage,
    efiImage,
    script: path.join(import.meta.dirname, "grub/grub.cfg"),
  };
}
