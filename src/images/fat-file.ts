/**
 * Finds a file of a FAT32 volume that `fat-volume.ts` made, so that it can be rewritten in place without mounting the
 * volume. Knows short names only, and accepts only a file that lies in one run of sectors.
 */
import { DecodeError } from "../core/errors.ts";

/** Gives bytes of the volume, by offset from its start. */
export type ReadVolume = (offsetBytes: number, lengthBytes: number) => Promise<Buffer>;

export interface FatFilePlace {
  /** From the start of the volume. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

interface Geometry {
  readonly clusterBytes: number;
  readonly fatOffsetBytes: number;
  /** Where cluster 2 begins. */
  readonly clustersOffsetBytes: number;
  readonly rootCluster: number;
}

interface Entry {
  readonly cluster: number;
  readonly sizeBytes: number;
}

const BOOT_SECTOR_BYTES = 512;
const ENTRY_BYTES = 32;
const FIRST_CLUSTER = 2;
const CLUSTER_MASK = 0x0fff_ffff;
/** This and everything above ends a chain. */
const END_OF_CHAIN = 0x0fff_fff8;
/** A folder of ours takes one cluster; a chain that runs in a circle must end somewhere. */
const MAX_FOLDER_CLUSTERS = 1024;

/**
 * @param path "/drp/grubenv"
 * @throws {DecodeError} when there is no such FAT32 volume or file, or the file lies in pieces
 */
export async function locateFatFile(read: ReadVolume, path: string): Promise<FatFilePlace> {
  const geometry = decodeBootSector(await read(0, BOOT_SECTOR_BYTES));
  let entry: Entry = { cluster: geometry.rootCluster, sizeBytes: 0 };
  for (const name of path.split("/").slice(1)) {
    entry = await findEntry(read, geometry, entry.cluster, name, path);
  }
  await requireOneRun(read, geometry, entry, path);
  return { offsetBytes: clusterOffset(geometry, entry.cluster), sizeBytes: entry.sizeBytes };
}

function decodeBootSector(boot: Buffer): Geometry {
  const isFat32 = boot.toString("latin1", 82, 87) === "FAT32" && boot.readUInt16LE(510) === 0xaa55;
  if (!isFat32) throw new DecodeError("there is no FAT32 file system");
  const sectorBytes = boot.readUInt16LE(11);
  const fatOffsetBytes = boot.readUInt16LE(14) * sectorBytes;
  const fatBytes = boot.readUInt32LE(36) * sectorBytes;
  return {
    clusterBytes: sectorBytes * boot.readUInt8(13),
    fatOffsetBytes,
    clustersOffsetBytes: fatOffsetBytes + boot.readUInt8(16) * fatBytes,
    rootCluster: boot.readUInt32LE(44),
  };
}

async function findEntry(
  read: ReadVolume,
  geometry: Geometry,
  folderCluster: number,
  name: string,
  path: string,
): Promise<Entry> {
  const [base = "", extension = ""] = name.toUpperCase().split(".");
  const shortName = base.padEnd(8) + extension.padEnd(3);
  let cluster = folderCluster;
  for (let count = 0; count < MAX_FOLDER_CLUSTERS && cluster < END_OF_CHAIN; count++) {
    const bytes = await read(clusterOffset(geometry, cluster), geometry.clusterBytes);
    for (let offset = 0; offset < bytes.length; offset += ENTRY_BYTES) {
      if (bytes.toString("latin1", offset, offset + 11) !== shortName) continue;
      return {
        cluster: (bytes.readUInt16LE(offset + 20) << 16) | bytes.readUInt16LE(offset + 26),
        sizeBytes: bytes.readUInt32LE(offset + 28),
      };
    }
    [cluster = END_OF_CHAIN] = await readChain(read, geometry, cluster, 1);
  }
  throw new DecodeError(`there is no file ${path}`);
}

/** Something else than our installer may have rewritten the file. */
async function requireOneRun(
  read: ReadVolume,
  geometry: Geometry,
  { cluster, sizeBytes }: Entry,
  path: string,
): Promise<void> {
  const count = Math.ceil(sizeBytes / geometry.clusterBytes);
  const next = await readChain(read, geometry, cluster, count);
  const isOneRun = next.every((value, index) =>
    index === count - 1 ? value >= END_OF_CHAIN : value === cluster + index + 1,
  );
  if (count === 0 || !isOneRun) throw new DecodeError(`${path} does not lie in one run of sectors`);
}

/** @returns what the table says of `count` clusters in a row: the next cluster of each */
async function readChain(
  read: ReadVolume,
  geometry: Geometry,
  cluster: number,
  count: number,
): Promise<number[]> {
  const table = await read(geometry.fatOffsetBytes + cluster * 4, count * 4);
  return Array.from({ length: count }, (_, index) => table.readUInt32LE(index * 4) & CLUSTER_MASK);
}

function clusterOffset(geometry: Geometry, cluster: number): number {
  return geometry.clustersOffsetBytes + (cluster - FIRST_CLUSTER) * geometry.clusterBytes;
}
