/**
 * The script of Debian's signed network GRUB. It holds TFTP and no HTTP, so kernel and ramdisk come by TFTP under the names
 * that HTTP has for them. Values are checked as in iPXE's scripts and stand in single quotes, in which GRUB expands nothing;
 * every failure prints a line, waits and moves on.
 */
import type { BootPlan } from "./boot-plan.ts";
import { printable, safeArgument, safeUrl } from "./script-values.ts";

/** Long enough to be read on a screen or a serial console. */
const PAUSE_SECONDS = 10;
/** GRUB's word for the processor that the ramdisk is built for. */
const RAMDISK_CPU = "x86_64";
const LEAVE: readonly string[] = [`sleep ${PAUSE_SECONDS}`, "exit"];

/**
 * @param tftpServer our address, at which the machine reached us
 * @throws {RangeError} naming the URL or argument that a GRUB line cannot hold safely
 */
export function renderGrubScript(plan: BootPlan, tftpServer: string): string {
  return `${renderLines(plan, safeArgument(tftpServer)).join("\n")}\n`;
}

function renderLines(plan: BootPlan, tftpServer: string): string[] {
  switch (plan.kind) {
    case "ramdisk":
      return ramdiskLines(plan, tftpServer);
    case "disk":
      return [say(`booting the local disk: ${printable(plan.reason)}`), ...DISK_LINES];
    case "refused":
      return [say(`nothing to boot: ${printable(plan.reason)}`), ...LEAVE];
  }
}

function ramdiskLines(plan: BootPlan & { kind: "ramdisk" }, tftpServer: string): string[] {
  const file = (url: string) => `'(tftp,${tftpServer})${safeArgument(new URL(safeUrl(url)).pathname)}'`;
  const words = [file(plan.kernelUrl), ...plan.arguments.map(argument => `'${safeArgument(argument)}'`)];
  return [
    `if [ "$grub_cpu" != ${RAMDISK_CPU} ]; then`,
    `  ${say(`the ramdisk of this site is for ${RAMDISK_CPU} machines`)}`,
    ...LEAVE.map(line => `  ${line}`),
    "fi",
    say("loading the ramdisk"),
    `if linux ${words.join(" ")}; then`,
    `  if initrd ${file(plan.initrdUrl)}; then boot; fi`,
    "fi",
    say(`the ramdisk did not load; trying again in ${PAUSE_SECONDS} s`),
    `sleep ${PAUSE_SECONDS}`,
    "reboot",
  ];
}

/**
 * A disk of ours first, then any other system's loader. Under Secure Boot the shim decides whether that loader may start;
 * where it may not, or there is none, GRUB ends and the firmware goes on to its next entry.
 */
const DISK_LINES: readonly string[] = [
  `if [ "$grub_cpu" = arm64 ]; then set loader=/EFI/BOOT/BOOTAA64.EFI; else set loader=/EFI/BOOT/BOOTX64.EFI; fi`,
  "for mark in /drp/grub.cfg $loader; do",
  // The loader is told to have come from root, whatever disk its name has (GRUB 2.06): there it looks for its own files.
  "  if search --no-floppy --file --set=root $mark; then",
  "    if chainloader $loader; then boot; fi",
  "  fi",
  "done",
  say("the local disk does not boot from here; the firmware goes on"),
  ...LEAVE,
];

/** @param text printable */
function say(text: string): string {
  return `echo 'drp: ${text}'`;
}
