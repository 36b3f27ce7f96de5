/**
 * A machine with real firmware and a real disk (a sparse file), powered by QEMU's software emulation. It boots from the
 * network first, as machines are racked whose console nobody can reach.
 */
import { copyFile, open } from "node:fs/promises";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { type LabProcess, startProcess } from "./processes.ts";

/** "uefi-http" asks for an URL and for no file, "secure-boot" for a file that Microsoft's keys have signed. */
export type Firmware = "bios" | "uefi" | "uefi-http" | "secure-boot";

export interface VirtualMachine {
  readonly name: string;
  readonly firmware: Firmware;
  readonly mac: string;
  readonly serialLog: string;
  powerOn(): LabProcess;
}

const MEMORY_MIB = 1024;
const DISK_BYTES = 2 * 1024 ** 3;
const OVMF = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/** Debian's OVMF for Secure Boot, with variables in which Microsoft's keys are enrolled and Secure Boot is on. */
export const SECURE_OVMF = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd";
const SECURE_OVMF_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";

export interface MachineSpec {
  readonly name: string;
  readonly firmware: Firmware;
  readonly mac: string;
  /**
   * False: without iPXE on the card, so that the firmware's own network boot comes first. By default BIOS and plain UEFI have
   * it: HTTP boot and Secure Boot would not come to pass.
   */
  readonly optionRom?: boolean;
}

export async function createMachine(
  namespace: Namespace,
  folder: string,
  spec: MachineSpec,
): Promise<VirtualMachine> {
  const disk = join(folder, `${spec.name}.disk`);
  const file = await open(disk, "w");
  await file.truncate(DISK_BYTES);
  await file.close();
  const variables = join(folder, `${spec.name}.vars`);
  const { firmware } = spec;
  const hasRom = spec.optionRom ?? (firmware === "bios" || firmware === "uefi");
  const isSecure = firmware === "secure-boot";
  if (firmware !== "bios") await copyFile(isSecure ? SECURE_OVMF_VARIABLES : OVMF_VARIABLES, variables);

  const tap = await namespace.plugIn(spec.name);
  const serialLog = join(folder, `${spec.name}.serial`);
  const commandLine = [
    ...namespace.enter,
    "qemu-system-x86_64",
    ...["-name", spec.name, "-machine", isSecure ? "q35,smm=on" : "q35", "-accel", "tcg,thread=multi"],
    ...["-smp", "2", "-m", String(MEMORY_MIB), "-display", "none", "-monitor", "none"],
    ...["-serial", `file:${serialLog}`],
    ...(firmware === "bios"
      ? []
      : [
          ...["-drive", `if=pflash,format=raw,readonly=on,file=${isSecure ? SECURE_OVMF : OVMF}`],
          ...["-drive", `if=pflash,format=raw,file=${variables}`],
        ]),
    // The enrolled keys are of worth only where no operating system can write them.
    ...(isSecure ? ["-global", "driver=cfi.pflash01,property=secure,value=on"] : []),
    ...(firmware === "uefi-http" ? ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"] : []),
    // OVMF waits 90 s for an IPv6 answer that nobody here gives.
    ...(hasRom ? [] : ["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"]),
    ...["-netdev", `tap,id=net0,ifname=${tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=net0,mac=${spec.mac},bootindex=0${hasRom ? "" : ",romfile="}`],
    ...["-drive", `if=none,id=disk0,format=raw,cache=writeback,file=${disk}`],
    ...["-device", `virtio-blk-pci,drive=disk0,serial=${spec.name},bootindex=1`],
    ...["-device", "virtio-rng-pci"],
  ];
  return {
    name: spec.name,
    firmware: spec.firmware,
    mac: spec.mac,
    serialLog,
    powerOn: () => startProcess(commandLine, { logFile: join(folder, `${spec.name}.qemu`) }),
  };
}
