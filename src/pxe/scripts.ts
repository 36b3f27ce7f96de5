/**
 * iPXE scripts. Every value is checked against what it may contain before it is put into a line, so no name, URL or kernel
 * argument can become a command; every failure prints a line, waits and moves on, so no machine hangs at a prompt.
 */
import type { BootPlan } from "./boot-plan.ts";
import { printable, safeArgument, safeUrl } from "./script-values.ts";

/** Long enough to be read on a screen or a serial console. */
const PAUSE_SECONDS = 10;
const INITRD_NAME = "ramdisk.img";

/** @throws {RangeError} naming the URL or argument that an iPXE line cannot hold safely */
export function renderIpxeScript(plan: BootPlan): string {
  return `#!ipxe\n${renderLines(plan).join("\n")}\n`;
}

/** For iPXE that was loaded without our DHCP answer's script: it asks for `autoexec.ipxe` beside itself. */
export function renderAutoexecScript(bootUrl: string): string {
  return ["#!ipxe", `chain ${safeUrl(bootUrl)}/boot.ipxe?mac=\${netX/mac} || exit 1`, ""].join("\n");
}

function renderLines(plan: BootPlan): string[] {
  switch (plan.kind) {
    case "ramdisk":
      return ramdiskLines(plan);
    case "disk":
      return [
        `echo drp: booting the local disk: ${printable(plan.reason)}`,
        ...diskLines(plan.uefiLoaderUrl),
      ];
    case "refused":
      return [`echo drp: nothing to boot: ${printable(plan.reason)}`, `sleep ${PAUSE_SECONDS}`, "exit 1"];
  }
}

/** UEFI's kernel finds its initrd by the name on its command line; under BIOS the argument does no harm. */
function ramdiskLines(plan: BootPlan & { kind: "ramdisk" }): string[] {
  const kernelArguments = plan.arguments.map(safeArgument);
  return [
    "echo drp: loading the ramdisk",
    `kernel ${[safeUrl(plan.kernelUrl), `initrd=${INITRD_NAME}`, ...kernelArguments].join(" ")} || goto failed`,
    `initrd --name ${INITRD_NAME} ${safeUrl(plan.initrdUrl)} || goto failed`,
    "boot || goto failed",
    ":failed",
    `echo drp: the ramdisk did not load; trying again in ${PAUSE_SECONDS} s`,
    `sleep ${PAUSE_SECONDS}`,
    "reboot",
  ];
}

/**
 * A BIOS starts its first disk through INT 13h. UEFI is given a program that finds the disk's loader: after a mere exit
 * firmware goes on to its next network entry first (OVMF: a minute more).
 */
function diskLines(uefiLoaderUrl: string): string[] {
  return [
    `iseq \${platform} efi || goto bios`,
    `chain ${safeUrl(uefiLoaderUrl)} || echo drp: the local disk does not boot`,
    "exit 1",
    ":bios",
    "sanboot --no-describe --drive 0x80 || echo drp: the local disk does not boot",
    `sleep ${PAUSE_SECONDS}`,
    "exit 1",
  ];
}
