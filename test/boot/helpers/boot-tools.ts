/** What boot tests need of this host: QEMU with its firmware, and Debian's packages; or the reason why they are not to be had. */
import { existsSync } from "node:fs";
import { type BootPackages, bootPackages } from "../../../boot/boot-packages.ts";
import { DrpError, describeErrorChain } from "../../../src/core/errors.ts";

export const QEMU = "/usr/bin/qemu-system-x86_64";
export const OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd";
export const OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd";
export const PACKAGE_CACHE = ".cache/debian";

/** @returns a reason to skip, printed, instead of the packages */
export async function findBootTools(): Promise<BootPackages | string> {
  for (const [file, debianPackage] of [
    [QEMU, "qemu-system-x86"],
    [OVMF_CODE, "ovmf"],
  ] as const) {
    if (!existsSync(file)) return skip(`${file} is missing; install ${debianPackage}`);
  }
  try {
    return await bootPackages(PACKAGE_CACHE);
  } catch (error) {
    if (error instanceof DrpError) return skip(describeErrorChain(error));
    throw error;
  }
}

function skip(reason: string): string {
  console.warn(`boot tests skipped: ${reason}`);
  return reason;
}
