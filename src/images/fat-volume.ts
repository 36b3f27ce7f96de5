/**
 * A FAT32 file system as bytes (Microsoft FAT specification 1.03), made whole from files that are known beforehand. Every
 * file lies in one run of sectors, which is what lets GRUB and the machine agent write the environment block in place.
 * Knows only 8.3 names of one case, which the loader's files have.
 */

interface FatFile {
  /** "/EFI/BOOT/BOOTX64.EFI": folders are made as needed. */
  readonly path: string;
  readonly content: Uint8Array;
}

export interface FatVolume {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  /** Where the partition begins on its disk; BIOS loaders of old want to know. */
  readonly offsetBytes: number;
  /** Upper case, at most 11 characters. */
  readonly label: string;
  /** 32 random bits. */
  readonly volumeId: number;
  readonly files: readonly FatFile[];
}

const RESERVED_SECTORS = 32;
const FAT_COUNT = 2;
const FS_INFO_SECTOR = 1;
const BACKUP_BOOT_SECTOR = 6;
const ROOT_CLUSTER = 2;
/** Fewer clusters would make it FAT16 by definition, whatever it says of itself. */
const MIN_CLUSTERS = 65_525;
const MEDIA_FIXED_DISK = 0xf8;
const END_OF_CHAIN = 0x0fff_ffff;
const ENTRY_BYTES = 32;
const ATTRIBUTE_VOLUME_LABEL = 0x08;
const ATTRIBUTE_FOLDER = 0x10;
const ATTRIBUTE_FILE = 0x20;
/** 1980-01-01: the ramdisk's clock is not worth recording. */
const DATE = 0x21;
/** Flags of byte 12 that Windows NT introduced: the name, or its extension, is to be shown in lower case. */
const LOWER_CASE_BASE = 0x08;
const LOWER_CASE_EXTENSION = 0x10;

interface Folder {
  readonly kind: "folder";
  readonly children: Map<string, Folder | Leaf>;
}
interface Leaf {
  readonly kind: "file";
  readonly content: Uint8Array;
}

/**
 * @returns the volume from its first byte to the last one in use; what follows on the partition does not matter
 * @throws {RangeError} for a size that FAT32 cannot have, a name that is not 8.3, or files that do not fit
 */
export function encodeFatVolume(volume: FatVolume): Buffer {
  const { sectorBytes } = volume;
  const sectorCount = Math.floor(volume.sizeBytes / sectorBytes);
  // One sector a cluster. A table that also covers the sectors of the tables themselves is a little longer than needed.
  const fatSectors = Math.ceil(((sectorCount - RESERVED_SECTORS + 2) * 4) / sectorBytes);
  const clusterCount = sectorCount - RESERVED_SECTORS - FAT_COUNT * fatSectors;
  if (clusterCount < MIN_CLUSTERS) throw new RangeError(`${volume.sizeBytes} bytes are too few for FAT32`);

  const clusters = layOutClusters(volume);
  if (clusters.chain.length > clusterCount) throw new RangeError("the files do not fit the volume");
  const fat = Buffer.alloc(fatSectors * sectorBytes);
  fat.writeUInt32LE(0x0fff_ff00 | MEDIA_FIXED_DISK, 0);
  fat.writeUInt32LE(END_OF_CHAIN, 4);
  for (const [index, next] of clusters.chain.entries()) fat.writeUInt32LE(next, (ROOT_CLUSTER + index) * 4);

  const reserved = Buffer.alloc(RESERVED_SECTORS * sectorBytes);
  const boot = encodeBootSector(volume, sectorCount, fatSectors);
  const info = encodeFsInfo(clusterCount - clusters.chain.length, ROOT_CLUSTER + clusters.chain.length);
  for (const copy of [0, BACKUP_BOOT_SECTOR]) {
    boot.copy(reserved, copy * sectorBytes);
    info.copy(reserved, (copy + FS_INFO_SECTOR) * sectorBytes);
  }
  return Buffer.concat([reserved, fat, fat, ...clusters.contents]);
}

function encodeBootSector(volume: FatVolume, sectorCount: number, fatSectors: number): Buffer {
  const boot = Buffer.alloc(512);
  boot.set([0xeb, 0x58, 0x90], 0);
  boot.write("DRP     ", 3, "latin1");
  boot.writeUInt16LE(volume.sectorBytes, 11);
  boot.writeUInt8(1, 13);
  boot.writeUInt16LE(RESERVED_SECTORS, 14);
  boot.writeUInt8(FAT_COUNT, 16);
  boot.writeUInt8(MEDIA_FIXED_DISK, 21);
  boot.writeUInt16LE(63, 24);
  boot.writeUInt16LE(255, 26);
  boot.writeUInt32LE(volume.offsetBytes / volume.sectorBytes, 28);
  boot.writeUInt32LE(sectorCount, 32);
  boot.writeUInt32LE(fatSectors, 36);
  boot.writeUInt32LE(ROOT_CLUSTER, 44);
  boot.writeUInt16LE(FS_INFO_SECTOR, 48);
  boot.writeUInt16LE(BACKUP_BOOT_SECTOR, 50);
  boot.writeUInt8(0x80, 64);
  boot.writeUInt8(0x29, 66);
  boot.writeUInt32LE(volume.volumeId, 67);
  boot.write(volume.label.padEnd(11), 71, "latin1");
  boot.write("FAT32   ", 82, "latin1");
  boot.writeUInt16LE(0xaa55, 510);
  return boot;
}

function encodeFsInfo(freeClusters: number, nextFree: number): Buffer {
  const info = Buffer.alloc(512);
  info.write("RRaA", 0, "latin1");
  info.write("rrAa", 484, "latin1");
  info.writeUInt32LE(freeClusters, 488);
  info.writeUInt32LE(nextFree, 492);
  info.writeUInt32LE(0xaa55_0000, 508);
  return info;
}

/** Gives every folder and file the next free clusters, the root first. */
function layOutClusters(volume: FatVolume): { chain: number[]; contents: Buffer[] } {
  const chain: number[] = [];
  const contents: Buffer[] = [];

  /** Reserves a run of clusters; the buffer is filled by the caller. */
  function reserve(byteCount: number): { cluster: number; bytes: Buffer } {
    const count = Math.ceil(byteCount / volume.sectorBytes);
    const cluster = ROOT_CLUSTER + chain.length;
    for (let index = 1; index < count; index++) chain.push(cluster + index);
    chain.push(END_OF_CHAIN);
    const bytes = Buffer.alloc(count * volume.sectorBytes);
    contents.push(bytes);
    return { cluster, bytes };
  }

  /** @returns the folder's first cluster */
  function placeFolder(folder: Folder, parent: number | null): number {
    // The root's extra entry is the label; any other folder has "." and "..".
    const extra = parent === null ? 1 : 2;
    const { cluster, bytes } = reserve((folder.children.size + extra) * ENTRY_BYTES);
    const entries =
      parent === null
        ? [encodeEntry(volume.label.padEnd(11), ATTRIBUTE_VOLUME_LABEL, 0, 0)]
        : [
            encodeEntry(".".padEnd(11), ATTRIBUTE_FOLDER, cluster, 0),
            // ".." of a folder in the root says 0, not the root's cluster.
            encodeEntry("..".padEnd(11), ATTRIBUTE_FOLDER, parent === ROOT_CLUSTER ? 0 : parent, 0),
          ];
    for (const [name, child] of folder.children) entries.push(placeChild(name, child, cluster));
    Buffer.concat(entries).copy(bytes);
    return cluster;
  }

  function placeChild(name: string, child: Folder | Leaf, parent: number): Buffer {
    const short = toShortName(name);
    if (child.kind === "folder") {
      return encodeEntry(short.padded, ATTRIBUTE_FOLDER, placeFolder(child, parent), 0, short.caseFlags);
    }
    if (child.content.length === 0) throw new RangeError(`${name} is empty`);
    const { cluster, bytes } = reserve(child.content.length);
    bytes.set(child.content);
    return encodeEntry(short.padded, ATTRIBUTE_FILE, cluster, child.content.length, short.caseFlags);
  }

  placeFolder(toTree(volume.files), null);
  return { chain, contents };
}

function encodeEntry(
  paddedName: string,
  attributes: number,
  cluster: number,
  sizeBytes: number,
  caseFlags = 0,
): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.write(paddedName, 0, "latin1");
  entry.writeUInt8(attributes, 11);
  entry.writeUInt8(caseFlags, 12);
  entry.writeUInt16LE(DATE, 16);
  entry.writeUInt16LE(DATE, 18);
  entry.writeUInt16LE(cluster >>> 16, 20);
  entry.writeUInt16LE(DATE, 24);
  entry.writeUInt16LE(cluster & 0xffff, 26);
  entry.writeUInt32LE(sizeBytes, 28);
  return entry;
}

function toShortName(name: string): { padded: string; caseFlags: number } {
  const [, base = "", extension = ""] = /^([A-Za-z0-9_-]{1,8})(?:\.([A-Za-z0-9_-]{1,3}))?$/.exec(name) ?? [];
  if (base === "" || !isOneCase(base) || !isOneCase(extension)) {
    throw new RangeError(`"${name}" is not an 8.3 name in one case`);
  }
  return {
    padded: base.toUpperCase().padEnd(8) + extension.toUpperCase().padEnd(3),
    caseFlags:
      (/[a-z]/.test(base) ? LOWER_CASE_BASE : 0) | (/[a-z]/.test(extension) ? LOWER_CASE_EXTENSION : 0),
  };
}

function isOneCase(text: string): boolean {
  return text === text.toUpperCase() || text === text.toLowerCase();
}

function toTree(files: readonly FatFile[]): Folder {
  const root: Folder = { kind: "folder", children: new Map() };
  for (const file of files) {
    const names = file.path.split("/").filter(name => name !== "");
    const leafName = names.pop() ?? "";
    let folder = root;
    for (const name of names) {
      const found = folder.children.get(name);
      const next: Folder = found?.kind === "folder" ? found : { kind: "folder", children: new Map() };
      folder.children.set(name, next);
      folder = next;
    }
    folder.children.set(leafName, { kind: "file", content: file.content });
  }
  return root;
}
