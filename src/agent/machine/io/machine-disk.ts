/** Finds the partitions of the disk that the running system lies on, each by its own device node. */
import { open, readdir, readFile, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DrpError } from "../../../core/errors.ts";
import { decodeGpt, type GptPartition, type Guid } from "../../../images/gpt.ts";
import type { Volume } from "../../../images/io/boot-volume.ts";
import type { Slot } from "../../../images/slot-config.ts";

export interface SlotVolume extends Volume {
  readonly partitionGuid: Guid;
}

/** What an update touches. */
export interface MachineDisk {
  readonly esp: Volume;
  readonly slots: Readonly<Record<Slot, SlotVolume>>;
}

/** Header and entries of a table on sectors of 4096 bytes; less on smaller ones. */
const GPT_HEAD_BYTES = 6 * 4096;

/**
 * Asks the kernel which disk the data partition is on, so that no other disk with the same labels is ever taken.
 *
 * @param dataFolder where drp-data is mounted
 * @throws {DrpError} disk.failed when that is no partition of an A/B disk
 */
export async function findMachineDisk(dataFolder: string): Promise<MachineDisk> {
  try {
    const device = await findMountedDevice(dataFolder);
    const diskFolder = dirname(await realpath(`/sys/dev/block/${device}`));
    const nodes = await readPartitionNodes(diskFolder);
    const sectorBytes = Number(await readFile(join(diskFolder, "queue/logical_block_size"), "utf8"));
    const table = decodeGpt(await readHead(`/dev/${basename(diskFolder)}`), sectorBytes);
    if (table === undefined) throw new Error("its partition table is damaged");
    return pickPartitions(table, ({ number, sizeBytes }) => {
      const path = nodes.get(number);
      if (path === undefined) throw new Error(`the kernel has no node of partition ${number}`);
      return { path, offsetBytes: 0, sizeBytes };
    });
  } catch (cause) {
    throw new DrpError("disk.failed", `the disk of ${dataFolder} is not that of an A/B machine`, {
      advice: "Mount the partition drp-data there, or install the machine again.",
      cause,
    });
  }
}

/**
 * @param volumeOf how the bytes of a partition are reached
 * @throws {Error} naming the partition that is missing
 */
export function pickPartitions<P extends GptPartition>(
  table: readonly P[],
  volumeOf: (partition: P) => Volume,
): MachineDisk {
  const find = (label: string) => {
    const partition = table.find(candidate => candidate.label === label);
    if (partition === undefined) throw new Error(`it has no partition ${label}`);
    return partition;
  };
  const slot = (partition: P) => ({ ...volumeOf(partition), partitionGuid: partition.guid });
  return { esp: volumeOf(find("drp-esp")), slots: { a: slot(find("drp-a")), b: slot(find("drp-b")) } };
}

/** @returns "254:5", as the kernel counts devices (proc_pid_mountinfo(5)) */
async function findMountedDevice(folder: string): Promise<string> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").map(line => line.split(" "));
  // What was mounted last lies on top.
  const device = lines.findLast(fields => fields[4] === folder)?.[2];
  if (device === undefined) throw new Error("nothing is mounted there");
  return device;
}

/** @returns device nodes by the partitions' numbers */
async function readPartitionNodes(diskFolder: string): Promise<Map<number, string>> {
  const nodes = new Map<number, string>();
  for (const name of await readdir(diskFolder)) {
    const number = await readFile(join(diskFolder, name, "partition"), "utf8").catch(() => undefined);
    if (number !== undefined) nodes.set(Number(number), `/dev/${name}`);
  }
  return nodes;
}

async function readHead(path: string): Promise<Buffer> {
  await using disk = await open(path, "r");
  const head = Buffer.alloc(GPT_HEAD_BYTES);
  await disk.read(head, 0, head.length, 0);
  return head;
}
