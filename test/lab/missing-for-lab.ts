/** Why the lab cannot run here, or undefined when it can. */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

export function missingForLab(): string | undefined {
  if (process.getuid?.() !== 0) return "it makes network namespaces, which only root may; run it as root";
  if (!isOnPath("qemu-system-x86_64")) return "Debian package qemu-system-x86 is missing";
  if (!isOnPath("ip")) return "Debian package iproute2 is missing";
  if (!existsSync("/usr/share/OVMF/OVMF_CODE_4M.fd")) return "Debian package ovmf is missing";
  if (!existsSync("dist/boot/ramdisk.img")) return "there are no boot files (npm run build says why)";
  return undefined;
}

export function isOnPath(command: string): boolean {
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"].some(folder => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
