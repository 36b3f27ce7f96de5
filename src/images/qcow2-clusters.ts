/**
 * From the L1 and L2 tables of a qcow2 image to the places of its file where a guest's bytes lie. Tables that point out of the
 * file, into its header, or between two clusters are errors: nothing is read that they did not rightly name.
 */
import { DecodeError } from "../core/errors.ts";
import { l2EntryCount, type Qcow2Layout } from "./qcow2-header.ts";

/** Consecutive bytes of the guest's disk; one after the other they are all of it. */
export type Qcow2Extent = { readonly lengthBytes: number } & (
  | { readonly kind: "zeros" }
  | { readonly kind: "stored"; readonly fileOffsetBytes: number }
  /** One cluster of `clusterBytes`, of which the guest sees `lengthBytes`; what follows in those sectors is not its own. */
  | { readonly kind: "compressed"; readonly fileOffsetBytes: number; readonly storedBytes: number }
);

const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;
const L1_RESERVED = 0x7f00_0000_0000_01ffn;
const L2_RESERVED = 0x3f00_0000_0000_01fen;
const COMPRESSED = 1n << 62n;
const COPIED = 1n << 63n;
const READS_AS_ZEROS = 1n;
const SECTOR_BYTES = 512;
const SUBCLUSTERS = 32;

/**
 * @param entry of the L1 table, big endian
 * @returns where the L2 table begins; undefined where the guest has nothing
 * @throws {DecodeError} with the entry's offset in bytes
 */
export function locateL2Table(layout: Qcow2Layout, index: number, entry: bigint): number | undefined {
  const what = `byte ${layout.l1OffsetBytes + index * 8}, L1 entry ${index}:`;
  if ((entry & L1_RESERVED) !== 0n) throw new DecodeError(`${what} reserved bits are set`);
  const offsetBytes = Number(entry & OFFSET_MASK);
  if (offsetBytes === 0) return undefined;
  requireInFile(layout, what, offsetBytes, 2 ** layout.clusterBits);
  return offsetBytes;
}

/**
 * @param table one cluster; undefined: all of it is unallocated
 * @param tableOffsetBytes where it lies, for errors
 * @returns the extents of the guest's disk under the L1 entry, neighbours joined
 * @throws {DecodeError} with the entry's offset in bytes
 */
export function* mapL2Table(
  layout: Qcow2Layout,
  l1Index: number,
  table: Buffer | undefined,
  tableOffsetBytes: number,
): Generator<Qcow2Extent, void, void> {
  const clusterBytes = 2 ** layout.clusterBits;
  const spanBytes = l2EntryCount(layout.clusterBits, layout.extendedL2) * clusterBytes;
  const guestBytes = Math.min(spanBytes, layout.sizeBytes - l1Index * spanBytes);
  if (table === undefined) yield { kind: "zeros", lengthBytes: guestBytes };
  else yield* joinNeighbours(mapEntries(layout, table, tableOffsetBytes, guestBytes));
}

function* mapEntries(
  layout: Qcow2Layout,
  table: Buffer,
  tableOffsetBytes: number,
  guestBytes: number,
): Generator<Qcow2Extent, void, void> {
  const clusterBytes = 2 ** layout.clusterBits;
  const entryBytes = layout.extendedL2 ? 16 : 8;
  for (let index = 0; index * clusterBytes < guestBytes; index++) {
    const entry = table.readBigUInt64BE(index * entryBytes);
    const what = `byte ${tableOffsetBytes + index * entryBytes}, L2 entry ${index}:`;
    const lengthBytes = Math.min(clusterBytes, guestBytes - index * clusterBytes);
    if ((entry & COMPRESSED) !== 0n) {
      yield { kind: "compressed", lengthBytes, ...locateCompressed(layout, what, entry) };
      continue;
    }
    const offsetBytes = locateCluster(layout, what, entry);
    if (layout.extendedL2) {
      const bitmap = table.readBigUInt64BE(index * entryBytes + 8);
      yield* mapSubclusters(layout, what, offsetBytes, bitmap, lengthBytes);
    } else if (offsetBytes === 0 || (entry & READS_AS_ZEROS) !== 0n) {
      yield { kind: "zeros", lengthBytes };
    } else {
      yield storedExtent(layout, what, offsetBytes, lengthBytes);
    }
  }
}

/** @returns 0 when no cluster is named */
function locateCluster(layout: Qcow2Layout, what: string, entry: bigint): number {
  if ((entry & L2_RESERVED) !== 0n) throw new DecodeError(`${what} reserved bits are set`);
  if ((entry & READS_AS_ZEROS) !== 0n && (layout.version === 2 || layout.extendedL2)) {
    throw new DecodeError(`${what} the bit for zeros is set in an image that does not know it`);
  }
  const offsetBytes = Number(entry & OFFSET_MASK);
  if (offsetBytes === 0 && (entry & COPIED) !== 0n) {
    throw new DecodeError(`${what} the cluster is the one that holds the header`);
  }
  return offsetBytes;
}

function* mapSubclusters(
  layout: Qcow2Layout,
  what: string,
  offsetBytes: number,
  bitmap: bigint,
  lengthBytes: number,
): Generator<Qcow2Extent, void, void> {
  const allocated = Number(bitmap & 0xffff_ffffn);
  const zeros = Number(bitmap >> 32n);
  if ((allocated & zeros) !== 0)
    throw new DecodeError(`${what} a subcluster is both allocated and all zeros`);
  if (allocated !== 0 && offsetBytes === 0)
    throw new DecodeError(`${what} subclusters are allocated in no cluster`);
  const subclusterBytes = 2 ** layout.clusterBits / SUBCLUSTERS;
  for (let from = 0, bit = 0; from < lengthBytes; from += subclusterBytes, bit++) {
    const length = Math.min(subclusterBytes, lengthBytes - from);
    if (((allocated >>> bit) & 1) === 0) yield { kind: "zeros", lengthBytes: length };
    else yield storedExtent(layout, what, offsetBytes, length, from);
  }
}

function storedExtent(
  layout: Qcow2Layout,
  what: string,
  clusterOffsetBytes: number,
  lengthBytes: number,
  withinBytes = 0,
): Qcow2Extent {
  requireInFile(layout, what, clusterOffsetBytes, withinBytes + lengthBytes);
  return { kind: "stored", lengthBytes, fileOffsetBytes: clusterOffsetBytes + withinBytes };
}

/** The last sector may reach over the file's end: QEMU does not fill it up. */
function locateCompressed(
  layout: Qcow2Layout,
  what: string,
  entry: bigint,
): { fileOffsetBytes: number; storedBytes: number } {
  if ((entry & COPIED) !== 0n) throw new DecodeError(`${what} reserved bits are set`);
  const offsetBits = BigInt(62 - (layout.clusterBits - 8));
  const offset = entry & ((1n << offsetBits) - 1n);
  const sectors = Number((entry & (COMPRESSED - 1n)) >> offsetBits) + 1;
  if (offset < 2n ** BigInt(layout.clusterBits) || offset >= layout.fileBytes) {
    throw new DecodeError(
      `${what} compressed data at byte ${offset} of a file of ${layout.fileBytes} bytes, whose first cluster is its header`,
    );
  }
  const fileOffsetBytes = Number(offset);
  const storedBytes = sectors * SECTOR_BYTES - (fileOffsetBytes % SECTOR_BYTES);
  return { fileOffsetBytes, storedBytes: Math.min(storedBytes, layout.fileBytes - fileOffsetBytes) };
}

function requireInFile(layout: Qcow2Layout, what: string, offsetBytes: number, lengthBytes: number): void {
  if (offsetBytes % 2 ** layout.clusterBits !== 0) {
    throw new DecodeError(`${what} byte ${offsetBytes} is not where a cluster begins`);
  }
  if (offsetBytes + lengthBytes > layout.fileBytes) {
    throw new DecodeError(
      `${what} ${lengthBytes} bytes at byte ${offsetBytes} leave the file, which ends at ${layout.fileBytes}`,
    );
  }
}

function* joinNeighbours(extents: Iterable<Qcow2Extent>): Generator<Qcow2Extent, void, void> {
  let last: Qcow2Extent | undefined;
  for (const extent of extents) {
    if (last !== undefined && follows(last, extent)) {
      last = { ...last, lengthBytes: last.lengthBytes + extent.lengthBytes };
      continue;
    }
    if (last !== undefined) yield last;
    last = extent;
  }
  if (last !== undefined) yield last;
}

function follows(last: Qcow2Extent, next: Qcow2Extent): boolean {
  if (last.kind === "stored" && next.kind === "stored") {
    return next.fileOffsetBytes === last.fileOffsetBytes + last.lengthBytes;
  }
  return last.kind === "zeros" && next.kind === "zeros";
}
