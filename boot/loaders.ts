/** The loaders that firmware fetches over the network: iPXE, as Debian builds it. */
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";

/** BIOS; UEFI with iPXE's own drivers (the package links it from here to the absolute /boot); UEFI by the firmware's. */
const LOADERS = ["usr/lib/ipxe/undionly.kpxe", "boot/ipxe.efi", "usr/lib/ipxe/snponly.efi"];

/** @param packageRoot an unpacked ipxe package */
export async function copyNetworkLoaders(packageRoot: string, outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true });
  for (const loader of LOADERS) {
    await copyFile(path.join(packageRoot, loader), path.join(outDir, path.basename(loader)));
  }
}
