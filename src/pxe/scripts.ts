/**
 * iPXE scripts. Every value is checked against what it may contain before it is put into a line, so no name, URL or kernel
 * argument can become a command; every failure prints a line, waits and moves on, so no machine hangs at a prompt.
 */

export type BootPlan =
  | {
      readonly kind: "ramdisk";
      readonly kernelUrl: string;
      readonly initrdUrl: string;
      readonly arguments: readonly string[];
    }
  /** Its own disk; the reason is shown on the machine's screen. */
  | {
      readonly kind: "disk";
      readonly reason: string;
      /** An EFI program that starts the local disk (boot/local-boot.ts). */
      readonly uefiLoaderUrl: string;
    }
  /** Nothing to boot here, not even its disk: the firmware's next choice. */
  | { readonly kind: "refused"; readonly reason: string };

/** iPXE expands `${…}`, joins at `&&`, `||` and `;`, and splits at blanks: none of their characters may pass. */
const SAFE_URL = /^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~%/:=?@+-]*)?$/;
const SAFE_ARGUMENT = /^[A-Za-z0-9_.,:=/@+%~-]{1,512}$/;
/** Long enough to be read on a screen or a serial console. */
const PAUSE_SECONDS = 10;
const INITRD_NAME = "ramdisk.img";

/** @throws {RangeError} naming the URL or argument that an iPXE line cannot hold safely */
export function renderIpxeScript(plan: BootPlan): string {
  return `#!ipxe\n${renderLines(plan).join("\n")}\n`;
}

/** For iPXE that was loaded without our DHCP answer's script: it asks for `autoexec.ipxe` beside itself. */
export function renderAutoexecScript(bootUrl: string): string {
  return ["#!ipxe", `chain ${checked(bootUrl, SAFE_URL)}/boot.ipxe?mac=\${netX/mac} || exit 1`, ""].join(
    "\n",
  );
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
  const kernelArguments = plan.arguments.map(argument => checked(argument, SAFE_ARGUMENT));
  return [
    "echo drp: loading the ramdisk",
    `kernel ${[checked(plan.kernelUrl, SAFE_URL), `initrd=${INITRD_NAME}`, ...kernelArguments].join(" ")} || goto failed`,
    `initrd --name ${INITRD_NAME} ${checked(plan.initrdUrl, SAFE_URL)} || goto failed`,
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
    `chain ${checked(uefiLoaderUrl, SAFE_URL)} || echo drp: the local disk does not boot`,
    "exit 1",
    ":bios",
    "sanboot --no-describe --drive 0x80 || echo drp: the local disk does not boot",
    `sleep ${PAUSE_SECONDS}`,
    "exit 1",
  ];
}

function checked(text: string, allowed: RegExp): string {
  if (!allowed.test(text)) throw new RangeError(`${JSON.stringify(text)} cannot be put into a boot script`);
  return text;
}

/** Words for a person: whatever iPXE could read as more than text becomes a dash. */
function printable(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9 .,:()/@_+-]/g, "-").slice(0, 200);
}
