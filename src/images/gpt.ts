/**
 * GUID partition tables (UEFI specification 2.10, §5.3) as bytes: encodes a whole table, and recognises what a disk
 * already holds. Knows nothing of what the partitions are for.
 */
import { DecodeError } from "../core/errors.ts";
import { crc32 } from "./crc32.ts";

/** Lower-case text form: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b". */
export type Guid = string & { readonly __brand: "Guid" };

export interface GptPartition {
  /** At most 36 UTF-16 units. */
  readonly label: string;
  readonly typeGuid: Guid;
  readonly guid: Guid;
  /** A whole number of sectors from the start of the disk. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface GptTable {
  readonly diskGuid: Guid;
  readonly partitions: readonly GptPartition[];
}

/** The disk that a table is made for. */
export interface DiskGeometry {
  readonly sizeBytes: number;
  /** Logical sector size, 512 or 4096: the unit of every LBA in the table. */
  readonly sectorBytes: number;
}

/** Bytes and where on the disk they belong. */
export interface Extent {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

export interface EncodedGpt {
  /** One sector: a disk writes it whole or not at all. Written first, it marks the disk as this table's. */
  readonly primaryHeader: Extent;
  /** Primary entries, backup entries, backup header. */
  readonly rest: readonly Extent[];
}

const SIGNATURE = "EFI PART";
const REVISION = 0x0001_0000;
const HEADER_BYTES = 92;
const ENTRY_COUNT = 128;
const ENTRY_BYTES = 128;
const LABEL_UNITS = 36;

/** Formats 16 random bytes as a version 4 GUID (RFC 9562 §5.4). */
export function guidFromRandom(random: Uint8Array): Guid {
  return formatVersioned(random, 4);
}

/** Formats the first 16 bytes of a hash as a version 8 GUID (RFC 9562 §5.8): the same hash, the same GUID. */
export function guidFromHash(hash: Uint8Array): Guid {
  return formatVersioned(hash.subarray(0, 16), 8);
}

function formatVersioned(source: Uint8Array, version: number): Guid {
  const bytes = Buffer.from(source);
  if (bytes.length !== 16) throw new RangeError(`a GUID has 16 bytes, not ${bytes.length}`);
  bytes[6] = (bytes.readUInt8(6) & 0x0f) | (version << 4);
  bytes[8] = (bytes.readUInt8(8) & 0x3f) | 0x80;
  return formatHex(bytes.toString("hex"));
}

function formatHex(hex: string): Guid {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5") as Guid;
}

/** First and last byte that partitions may use (the last one exclusive). */
export function usableRange(geometry: DiskGeometry): { startBytes: number; endBytes: number } {
  const { sectorBytes, sizeBytes } = geometry;
  const entryBytes = ENTRY_COUNT * ENTRY_BYTES;
  return {
    startBytes: 2 * sectorBytes + entryBytes,
    endBytes: Math.floor(sizeBytes / sectorBytes) * sectorBytes - sectorBytes - entryBytes,
  };
}

/** @throws {RangeError} when a partition lies outside the usable range or off the sector grid */
export function encodeGpt(table: GptTable, geometry: DiskGeometry): EncodedGpt {
  const { sectorBytes } = geometry;
  const lastLba = Math.floor(geometry.sizeBytes / sectorBytes) - 1;
  const usable = usableRange(geometry);
  const entries = Buffer.alloc(ENTRY_COUNT * ENTRY_BYTES);
  for (const [index, partition] of table.partitions.entries()) {
    const end = partition.offsetBytes + partition.sizeBytes;
    const offGrid = partition.offsetBytes % sectorBytes !== 0 || partition.sizeBytes % sectorBytes !== 0;
    if (offGrid || partition.offsetBytes < usable.startBytes || end > usable.endBytes) {
      throw new RangeError(
        `partition ${partition.label} at ${partition.offsetBytes} … ${end} does not fit the disk`,
      );
    }
    encodeEntry(partition, sectorBytes).copy(entries, index * ENTRY_BYTES);
  }
  const backupEntriesLba = usable.endBytes / sectorBytes;
  const header = (ownLba: number, otherLba: number, entriesLba: number) =>
    encodeHeader({
      ownLba,
      otherLba,
      entriesLba,
      firstUsableLba: usable.startBytes / sectorBytes,
      lastUsableLba: backupEntriesLba - 1,
      diskGuid: table.diskGuid,
      entriesCrc: crc32(entries),
      sectorBytes,
    });
  return {
    primaryHeader: { offsetBytes: sectorBytes, bytes: header(1, lastLba, 2) },
    rest: [
      { offsetBytes: 2 * sectorBytes, bytes: entries },
      { offsetBytes: backupEntriesLba * sectorBytes, bytes: entries },
      { offsetBytes: lastLba * sectorBytes, bytes: header(lastLba, 1, backupEntriesLba) },
    ],
  };
}

interface HeaderFields {
  readonly ownLba: number;
  readonly otherLba: number;
  readonly entriesLba: number;
  readonly firstUsableLba: number;
  readonly lastUsableLba: number;
  readonly diskGuid: Guid;
  readonly entriesCrc: number;
  readonly sectorBytes: number;
}

function encodeHeader(fields: HeaderFields): Buffer {
  const sector = Buffer.alloc(fields.sectorBytes);
  sector.write(SIGNATURE, 0, "latin1");
  sector.writeUInt32LE(REVISION, 8);
  sector.writeUInt32LE(HEADER_BYTES, 12);
  sector.writeBigUInt64LE(BigInt(fields.ownLba), 24);
  sector.writeBigUInt64LE(BigInt(fields.otherLba), 32);
  sector.writeBigUInt64LE(BigInt(fields.firstUsableLba), 40);
  sector.writeBigUInt64LE(BigInt(fields.lastUsableLba), 48);
  encodeGuid(fields.diskGuid).copy(sector, 56);
  sector.writeBigUInt64LE(BigInt(fields.entriesLba), 72);
  sector.writeUInt32LE(ENTRY_COUNT, 80);
  sector.writeUInt32LE(ENTRY_BYTES, 84);
  sector.writeUInt32LE(fields.entriesCrc, 88);
  sector.writeUInt32LE(crc32(sector.subarray(0, HEADER_BYTES)), 16);
  return sector;
}

function encodeEntry(partition: GptPartition, sectorBytes: number): Buffer {
  if (partition.label.length > LABEL_UNITS) throw new RangeError(`label ${partition.label} is too long`);
  const entry = Buffer.alloc(ENTRY_BYTES);
  encodeGuid(partition.typeGuid).copy(entry, 0);
  encodeGuid(partition.guid).copy(entry, 16);
  const firstLba = partition.offsetBytes / sectorBytes;
  entry.writeBigUInt64LE(BigInt(firstLba), 32);
  entry.writeBigUInt64LE(BigInt(firstLba + partition.sizeBytes / sectorBytes - 1), 40);
  entry.write(partition.label, 56, "utf16le");
  return entry;
}

/** The first three groups are little-endian numbers, the last two plain bytes (UEFI 2.10, appendix A). */
function encodeGuid(guid: Guid): Buffer {
  const bytes = Buffer.from(guid.replaceAll("-", ""), "hex");
  if (bytes.length !== 16) throw new DecodeError(`"${guid}" is no GUID`);
  return swapGuidGroups(bytes);
}

function swapGuidGroups(bytes: Buffer): Buffer {
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

/**
 * Recognises a primary table at the start of a disk by its header alone, whatever the state of its entries.
 *
 * @param head the first bytes of the disk; labels are those of the entries that it holds
 * @returns undefined when LBA 1 holds no header with a valid checksum
 */
export function recogniseGpt(
  head: Uint8Array,
  sectorBytes: number,
): { diskGuid: Guid; labels: string[] } | undefined {
  const disk = Buffer.from(head);
  const header = disk.subarray(sectorBytes, 2 * sectorBytes);
  if (header.length < HEADER_BYTES || header.toString("latin1", 0, 8) !== SIGNATURE) return undefined;
  const claimedCrc = header.readUInt32LE(16);
  const covered = Buffer.from(header.subarray(0, HEADER_BYTES));
  covered.writeUInt32LE(0, 16);
  if (header.readUInt32LE(12) !== HEADER_BYTES || crc32(covered) !== claimedCrc) return undefined;
  return {
    diskGuid: decodeGuid(header.subarray(56, 72)),
    labels: splitEntries(disk.subarray(2 * sectorBytes, 2 * sectorBytes + ENTRY_COUNT * ENTRY_BYTES)).map(
      ({ entry }) => decodeLabel(entry),
    ),
  };
}

/**
 * Reads a whole primary table. Number 1 is the first partition, as in the names of its device nodes.
 *
 * @param head the first bytes of the disk, table included: 34 sectors of 512 bytes, or 6 of 4096
 * @returns undefined when header or entries do not have the checksum that the header says
 */
export function decodeGpt(
  head: Uint8Array,
  sectorBytes: number,
): (GptPartition & { readonly number: number })[] | undefined {
  if (recogniseGpt(head, sectorBytes) === undefined) return undefined;
  const disk = Buffer.from(head);
  const entries = disk.subarray(2 * sectorBytes, 2 * sectorBytes + ENTRY_COUNT * ENTRY_BYTES);
  if (crc32(entries) !== disk.readUInt32LE(sectorBytes + 88)) return undefined;
  return splitEntries(entries).map(({ entry, number }) => {
    const firstLba = Number(entry.readBigUInt64LE(32));
    const lastLba = Number(entry.readBigUInt64LE(40));
    return {
      number,
      label: decodeLabel(entry),
      typeGuid: decodeGuid(entry.subarray(0, 16)),
      guid: decodeGuid(entry.subarray(16, 32)),
      offsetBytes: firstLba * sectorBytes,
      sizeBytes: (lastLba - firstLba + 1) * sectorBytes,
    };
  });
}

function decodeGuid(bytes: Buffer): Guid {
  return formatHex(swapGuidGroups(Buffer.from(bytes)).toString("hex"));
}

function splitEntries(entries: Buffer): { readonly entry: Buffer; readonly number: number }[] {
  const found: { entry: Buffer; number: number }[] = [];
  for (let number = 1; number * ENTRY_BYTES <= entries.length; number++) {
    const entry = entries.subarray((number - 1) * ENTRY_BYTES, number * ENTRY_BYTES);
    const isUsed = entry.subarray(0, 16).some(byte => byte !== 0);
    if (isUsed) found.push({ entry, number });
  }
  return found;
}

function decodeLabel(entry: Buffer): string {
  return entry.toString("utf16le", 56, ENTRY_BYTES).replace(/\0.*$/s, "");
}
