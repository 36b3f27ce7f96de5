/** The loaders that firmware fetches over the network: iPXE, and what Secure Boot accepts, as Debian builds and signs them. */
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";
import type { BootPackages, SignedLoaderPackages } from "./boot-packages.ts";

/** BIOS; UEFI with iPXE's own drivers (the package links it from here to the absolute /boot); UEFI by the firmware's. */
const IPXE = ["usr/lib/ipxe/undionly.kpxe", "boot/ipxe.efi", "usr/lib/ipxe/snponly.efi"];

/** The shim fetches GRUB beside itself, by the name that was built into it. */
const X64_SHIM = { file: "usr/lib/shim/shimx64.efi.signed", name: "shimx64.efi" };
const X64_GRUB = { file: "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", name: "grubx64.efi" };
const ARM64_SHIM = { file: "usr/lib/shim/shimaa64.efi.signed", name: "shimaa64.efi" };
const ARM64_GRUB = { file: "usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed", name: "grubaa64.efi" };

export async function copyNetworkLoaders(
  packages: Pick<BootPackages, "ipxe" | "shim" | "signedGrub">,
  outDir: string,
): Promise<void> {
  await mkdir(outDir, { recursive: true });
  for (const loader of IPXE) {
    await copyFile(path.join(packages.ipxe.root, loader), path.join(outDir, path.basename(loader)));
  }
  await copySigned(packages.shim.root, X64_SHIM, outDir);
  await copySigned(packages.signedGrub.root, X64_GRUB, outDir);
}

export async function copyArm64Loaders(packages: SignedLoaderPackages, outDir: string): Promise<void> {
  await copySigned(packages.shim.root, ARM64_SHIM, outDir);
  await copySigned(packages.signedGrub.root, ARM64_GRUB, outDir);
}

async function copySigned(root: string, { file, name }: typeof X64_SHIM, outDir: string): Promise<void> {
  await copyFile(path.join(root, file), path.join(outDir, name));
}
