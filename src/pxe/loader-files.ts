/** The loaders of a site by their names, as `npm run build` puts them into dist/boot/loaders. */
import type { LoaderFiles } from "./decide.ts";

/**
 * iPXE as Debian's package has it. snponly.efi drives the card through the firmware, which has just fetched it with the same
 * driver; ipxe.efi brings drivers of its own, is five times as large and needs 5 s more under OVMF before it asks for an
 * address. The shim is Microsoft's to accept, the GRUB that it fetches beside itself Debian's.
 */
export const LOADER_FILES: LoaderFiles = {
  ipxe: { bios: "undionly.kpxe", "x64-uefi": "snponly.efi" },
  signed: { "x64-uefi": "shimx64.efi", "arm64-uefi": "shimaa64.efi" },
};

/** Starts a UEFI machine's own disk (boot/local-boot.ts). */
export const LOCAL_BOOT = "local-boot.efi";

/** Everything under /loaders/ and at TFTP's root. `ipxe.efi` is for who names it in DHCP options of their own. */
export const SERVED_LOADERS: readonly string[] = [
  ...Object.values(LOADER_FILES.ipxe),
  "ipxe.efi",
  ...Object.values(LOADER_FILES.signed),
  "grubx64.efi",
  "grubaa64.efi",
  LOCAL_BOOT,
];
