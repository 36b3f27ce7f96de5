/**
 * A machine with real firmware and a real disk (a sparse file), powered by QEMU's software emulation. It boots from the
 * network first, as machines are racked whose console nobody can reach.
 */
import { copyFile, open } from "node:fs/promises";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { type LabProcess, startProcess } from "./processes.ts";

export type Firmware = "bios" | "uefi";

export interface VirtualMachine {
  readonly name: string;
  readonly firmware: Firmware;
  readonly mac: string;
  readonly serialLog: string;
  powerOn(): LabProcess;
}

const MEMORY_MIB = 1024;
const DISK_BYTES = 2 * 1024 ** 3;
const OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd";

export async function createMachine(
  namespace: Namespace,
  folder: string,
  spec: { name: string; firmware: Firmware; mac: string },
): Promise<VirtualMachine> {
  const disk = join(folder, `${spec.name}.disk`);
  const file = await open(disk, "w");
  await file.truncate(DISK_BYTES);
  await file.close();
  const variables = join(folder, `${spec.name}.vars`);
  if (spec.firmware === "uefi") await copyFile(OVMF_VARIABLES, variables);

  const tap = await namespace.plugIn(spec.name);
  const serialLog = join(folder, `${spec.name}.serial`);
  const commandLine = [
    ...namespace.enter,
    "qemu-system-x86_64",
    ...["-name", spec.name, "-machine", "q35", "-accel", "tcg,thread=multi"],
    ...["-smp", "2", "-m", String(MEMORY_MIB), "-display", "none", "-monitor", "none"],
    ...["-serial", `file:${serialLog}`],
    ...(spec.firmware === "uefi"
      ? [
          ...["-drive", `if=pflash,format=raw,readonly=on,file=${OVMF_CODE}`],
          ...["-drive", `if=pflash,format=raw,file=${variables}`],
        ]
      : []),
    ...["-netdev", `tap,id=net0,ifname=${tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=net0,mac=${spec.mac},bootindex=0`],
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
