/** Looks at the machine: reads the kernel's files, and leaves their meaning to inventory.ts. */
import { access, readdir, readFile, readlink } from "node:fs/promises";
import { machine } from "node:os";
import { basename, join } from "node:path";
import { architectureFromUname } from "../../../core/architecture.ts";
import { DrpError } from "../../../core/errors.ts";
import type { CandidateDisk } from "../../../images/disk-plan.ts";
import { Disk } from "../../../images/io/disk.ts";
import { readDiskContent } from "../../../images/io/read-disk-content.ts";
import type { Inventory } from "../../protocol.ts";
import {
  parseCpuInfo,
  parseDisk,
  parseDmi,
  parseMemoryBytes,
  parseNic,
  type SysAttributes,
} from "../inventory.ts";

const DISK_ATTRIBUTES = [
  "size",
  "removable",
  "serial",
  "queue/logical_block_size",
  "queue/rotational",
  "device/model",
  "device/serial",
  "device/vpd_pg80",
];
const NIC_ATTRIBUTES = ["address", "carrier"];
const DMI_ATTRIBUTES = ["sys_vendor", "product_name", "product_serial", "product_uuid"];

/** @throws {DrpError} image.wrong-architecture on a processor that there are no images for */
export async function readInventory(): Promise<Inventory> {
  const architecture = architectureFromUname(machine());
  if (architecture === undefined) {
    throw new DrpError("image.wrong-architecture", `there are no images for a ${machine()} processor`);
  }
  return {
    architecture,
    firmware: (await exists("/sys/firmware/efi")) ? "uefi" : "bios",
    cpu: parseCpuInfo(await readFile("/proc/cpuinfo", "utf8")),
    memoryBytes: parseMemoryBytes(await readFile("/proc/meminfo", "utf8")),
    disks: await readEach("/sys/block", async (name, folder) => {
      const attributes = await readAttributes(folder, DISK_ATTRIBUTES);
      const disk = parseDisk(name, await exists(join(folder, "device")), attributes);
      return disk && { ...disk, holdsData: await holdsData(disk) };
    }),
    nics: await readEach("/sys/class/net", async (name, folder) =>
      parseNic(name, await readDriver(folder), await readAttributes(folder, NIC_ATTRIBUTES)),
    ),
    dmi: parseDmi(await readAttributes("/sys/class/dmi/id", DMI_ATTRIBUTES)),
  };
}

/** A disk that is in use, or gives no answer, is not known to be empty. */
async function holdsData(candidate: CandidateDisk): Promise<boolean> {
  try {
    await using disk = await Disk.open(candidate.path, candidate.sizeBytes, "read");
    return (await readDiskContent(disk, candidate.sectorBytes)).kind !== "empty";
  } catch {
    return true;
  }
}

async function readEach<T>(
  parent: string,
  read: (name: string, folder: string) => Promise<T | undefined>,
): Promise<T[]> {
  const names = (await readdir(parent)).sort();
  const found = await Promise.all(names.map(name => read(name, join(parent, name))));
  return found.filter(item => item !== undefined);
}

async function readAttributes(folder: string, names: readonly string[]): Promise<SysAttributes> {
  const texts = await Promise.all(
    names.map(async name => [name, await readText(join(folder, name))] as const),
  );
  return Object.fromEntries(texts);
}

/** Many attributes exist for some drivers only, and `carrier` of an interface that is down cannot be read. */
async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, "latin1").catch(() => undefined);
}

async function readDriver(folder: string): Promise<string | null> {
  const target = await readlink(join(folder, "device/driver")).catch(() => null);
  return target === null ? null : basename(target);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
