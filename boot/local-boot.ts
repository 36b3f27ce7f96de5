/**
 * A small GRUB that a UEFI machine fetches over the network to start its own disk. When iPXE merely exits, firmware goes on
 * to its next network entry, and a machine passes through PXE two or three times before it comes to its disk (seen with
 * OVMF: a minute). BIOS needs none of this: iPXE starts the first disk itself.
 *
 * It looks for a disk of ours first, then for any other system's loader; where there is none, firmware goes on as before.
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import type { BootPackages } from "./boot-packages.ts";

const run = promisify(execFile);

/** No `normal`: the embedded script is read by GRUB's rescue parser, one plain command a line. */
const MODULES = ["part_gpt", "part_msdos", "fat", "search", "search_fs_file", "chain", "boot", "minicmd"];

export async function buildLocalBoot(
  packages: Pick<BootPackages, "grubCommon" | "grubEfi" | "libraryDirs">,
  file: string,
): Promise<void> {
  const args = ["-O", "x86_64-efi", "-d", path.join(packages.grubEfi.root, "usr/lib/grub/x86_64-efi")];
  const config = path.join(import.meta.dirname, "grub/local-boot.cfg");
  await run(
    path.join(packages.grubCommon.root, "usr/bin/grub-mkimage"),
    [...args, "-c", config, "-p", "/drp", "-o", file, ...MODULES],
    { env: { LD_LIBRARY_PATH: packages.libraryDirs.join(":") } },
  );
}
