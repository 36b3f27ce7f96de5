/** One QEMU machine with a disk and no network, in software emulation; what it says on its serial port is the result. */
import { spawn } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { OVMF_CODE, OVMF_VARS, QEMU } from "./boot-tools.ts";

export interface VirtualMachine {
  readonly firmware: "bios" | "uefi";
  readonly disk: string;
  readonly readOnlyDisk?: boolean;
}

/**
 * Runs the machine until its console shows the pattern, then ends it.
 *
 * @returns everything that the console has shown
 * @throws {Error} with the console's text when the machine ends first, or the time is over
 */
export async function bootUntil(
  machine: VirtualMachine,
  pattern: RegExp,
  timeoutSeconds: number,
): Promise<string> {
  const args = ["-accel", "tcg,thread=multi", "-smp", "2", "-m", "512", "-nodefaults", "-vga", "std"];
  args.push("-display", "none", "-serial", "stdio", "-no-reboot", ...(await firmwareArguments(machine)));
  const access = machine.readOnlyDisk === true ? "on" : "off";
  args.push("-drive", `file=${machine.disk},format=raw,if=none,id=disk,cache=unsafe,readonly=${access}`);
  args.push("-device", "virtio-blk-pci,drive=disk");
  const child = spawn(QEMU, args, { stdio: ["ignore", "pipe", "pipe"] });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", piece => {
    complaints += piece;
  });
  const ended = new Promise(resolve => child.once("close", resolve));
  const timer = setTimeout(() => child.kill(), timeoutSeconds * 1000);
  let console = "";
  try {
    for await (const piece of child.stdout.setEncoding("latin1")) {
      console += piece;
      if (pattern.test(console)) return console;
    }
  } finally {
    clearTimeout(timer);
    child.kill();
    await ended;
  }
  throw new Error(
    `the machine did not show ${pattern} in ${timeoutSeconds} s; it showed:\n${console}\n${complaints}`,
  );
}

async function firmwareArguments({ firmware, disk }: VirtualMachine): Promise<string[]> {
  if (firmware === "bios") return [];
  const variables = `${disk}.vars`;
  await copyFile(OVMF_VARS, variables);
  const flash = (file: string, access: string) => ["-drive", `if=pflash,format=raw,${access},file=${file}`];
  return ["-machine", "q35", ...flash(OVMF_CODE, "readonly=on"), ...flash(variables, "readonly=off")];
}
