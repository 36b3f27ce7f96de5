/** An arm64 machine with EDK2 as its firmware and no disk; its programs come from Debian's packages, unpacked. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fetchPrograms } from "../../bench/peers.ts";
import { fetchDebianPackages } from "../../boot/debian-packages.ts";
import type { Namespace } from "./namespace.ts";
import { startProcess } from "./processes.ts";
import type { VirtualMachine } from "./virtual-machine.ts";

const LOST = "no arm64 machine is booted in the lab";
/** Of the host's own QEMU: the same data for all architectures. */
const QEMU_DATA = "/usr/share/qemu";

/** @throws {DrpError} tool.missing, naming the package that cannot be had */
export async function createArmMachine(
  namespace: Namespace,
  folder: string,
  spec: { name: string; mac: string },
): Promise<VirtualMachine> {
  const programs = await fetchPrograms(["qemu-system-arm"], LOST);
  const [firmware] = await fetchDebianPackages(["qemu-efi-aarch64"], ".cache/debian", LOST);
  const firmwareFile = (name: string) => join(firmware?.root ?? "", "usr/share/AAVMF", name);
  const variables = join(folder, `${spec.name}.vars`);
  await copyFile(firmwareFile("AAVMF_VARS.fd"), variables);
  const tap = await namespace.plugIn(spec.name);
  const serialLog = join(folder, `${spec.name}.serial`);
  const commandLine = [
    ...[...namespace.enter, programs.find("qemu-system-aarch64"), "-L", QEMU_DATA],
    ...["-name", spec.name, "-machine", "virt", "-cpu", "cortex-a57", "-accel", "tcg,thread=multi"],
    ...["-smp", "1", "-m", "512", "-display", "none", "-monitor", "none", "-serial", `file:${serialLog}`],
    ...["-drive", `if=pflash,format=raw,readonly=on,file=${firmwareFile("AAVMF_CODE.fd")}`],
    ...["-drive", `if=pflash,format=raw,file=${variables}`],
    ...["-netdev", `tap,id=net0,ifname=${tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=net0,mac=${spec.mac},bootindex=0,romfile=`],
    ...["-device", "virtio-rng-pci"],
  ];
  return {
    ...spec,
    firmware: "uefi",
    serialLog,
    powerOn: () =>
      startProcess(commandLine, { logFile: join(folder, `${spec.name}.qemu`), env: programs.env }),
  };
}
