/** Reads the kernel's texts about the hardware: /proc and /sys as strings in, the inventory's words out. */
import { parseMac } from "../../core/mac.ts";
import type { Disk, Inventory } from "../protocol.ts";

type Nic = Inventory["nics"][number];

/** A block device's or network interface's attributes by their path below its /sys folder; absent where unreadable. */
export type SysAttributes = Readonly<Record<string, string | undefined>>;

/** /sys/block/NAME/size counts in these, whatever the disk's own sectors. */
const SYS_SECTOR_BYTES = 512;
/** Optical and floppy drives, and the boot and replay-protected areas of an eMMC. */
const NEVER_A_DISK = /^(?:sr|fd)\d|^mmcblk\d+(?:boot|rpmb)/;

/** @param text /proc/cpuinfo */
export function parseCpuInfo(text: string): Inventory["cpu"] {
  const threads = text.match(/^processor\s*:/gm)?.length ?? 1;
  const model = /^model name\s*:\s*(.+)$/m.exec(text)?.[1] ?? "";
  return { model: clean(model, 256), threads };
}

/** @param text /proc/meminfo; its "kB" are KiB */
export function parseMemoryBytes(text: string): number {
  return Number(/^MemTotal:\s*(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

/** @returns undefined for what is no disk: loop and RAM devices have no hardware behind them, empty drives no size */
export function parseDisk(
  name: string,
  hasHardware: boolean,
  attributes: SysAttributes,
): Omit<Disk, "holdsData"> | undefined {
  const sizeBytes = Number(attributes.size ?? 0) * SYS_SECTOR_BYTES;
  if (!hasHardware || NEVER_A_DISK.test(name) || sizeBytes === 0) return undefined;
  return {
    path: `/dev/${name}`,
    sizeBytes,
    sectorBytes: Number(attributes["queue/logical_block_size"] ?? SYS_SECTOR_BYTES),
    model: clean(attributes["device/model"] ?? "", 128),
    // virtio has it beside the device, NVMe within it, SCSI and SATA in the page that the disk itself gave.
    serial: clean(
      attributes.serial ?? attributes["device/serial"] ?? attributes["device/vpd_pg80"]?.slice(4) ?? "",
      128,
    ),
    rotational: isOne(attributes["queue/rotational"]),
    removable: isOne(attributes.removable),
  };
}

/** @returns undefined for an interface without hardware or without an Ethernet address */
export function parseNic(name: string, driver: string | null, attributes: SysAttributes): Nic | undefined {
  const mac = parseMac(attributes.address ?? "");
  if (driver === null || mac === undefined) return undefined;
  return { name, mac, driver, carrier: isOne(attributes.carrier) };
}

/** @param attributes of /sys/class/dmi/id */
export function parseDmi(attributes: SysAttributes): Inventory["dmi"] {
  return {
    vendor: clean(attributes.sys_vendor ?? "", 128),
    product: clean(attributes.product_name ?? "", 128),
    serial: clean(attributes.product_serial ?? "", 128),
    uuid: clean(attributes.product_uuid ?? "", 64).toLowerCase(),
  };
}

function isOne(text: string | undefined): boolean {
  return text?.trim() === "1";
}

/** Firmware pads with blanks and NULs, and some of it prints whatever its memory held. */
function clean(text: string, maxLength: number): string {
  return text
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, maxLength);
}
