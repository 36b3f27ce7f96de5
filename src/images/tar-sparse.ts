/**
 * Where the bytes of a sparse file stand, in the four ways that tars tell it (GNU tar manual, "Storing Sparse Files"): the
 * old GNU header, and pax formats 0.0, 0.1 and 1.0.
 */
import { DecodeError } from "../core/errors.ts";
import type { PaxRecord } from "./pax-records.ts";
import { readNumber, TAR_BLOCK_BYTES } from "./tar-header.ts";

export interface Stretch {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** Of one file; 24 bytes of memory each. */
const MAX_STRETCHES = 262_144;
const OLD_HEADER = { map: 386, count: 4, more: 482, realSize: 483 } as const;
const OLD_EXTENSION = { map: 0, count: 21, more: 504 } as const;

/** Collects what an old GNU header and the blocks after it tell. */
export class OldSparseMap {
  readonly sizeBytes: number;
  readonly stretches: Stretch[];
  /** Another block follows. */
  more: boolean;

  constructor(header: Buffer) {
    this.sizeBytes = readNumber(header, OLD_HEADER.realSize, 12, "size");
    this.stretches = readOldStretches(header, OLD_HEADER.map, OLD_HEADER.count);
    this.more = header[OLD_HEADER.more] !== 0;
  }

  add(block: Buffer): void {
    this.stretches.push(...readOldStretches(block, OLD_EXTENSION.map, OLD_EXTENSION.count));
    requireFew(this.stretches.length);
    this.more = block[OLD_EXTENSION.more] !== 0;
  }
}

function readOldStretches(block: Buffer, start: number, count: number): Stretch[] {
  const stretches: Stretch[] = [];
  for (let at = start; at < start + 24 * count; at += 24) {
    if (block[at] === 0) break;
    stretches.push({
      offsetBytes: readNumber(block, at, 12, "sparse map"),
      sizeBytes: readNumber(block, at + 12, 12, "sparse map"),
    });
  }
  return stretches;
}

export interface PaxSparse {
  /** The header's own name is a made-up one in formats 0.1 and 1.0. */
  readonly name: string | undefined;
  readonly sizeBytes: number;
  /** Undefined: format 1.0, the map stands before the content. */
  readonly stretches: Stretch[] | undefined;
}

/** @returns undefined for a file that is not sparse */
export function readPaxSparse(records: readonly PaxRecord[]): PaxSparse | undefined {
  const last = new Map(records.map(([key, value]) => [key, value.toString("latin1")]));
  const name = last.get("GNU.sparse.name");
  const major = last.get("GNU.sparse.major");
  if (major !== undefined) {
    const version = `${major}.${last.get("GNU.sparse.minor")}`;
    if (version !== "1.0") throw new DecodeError(`is sparse in a format ${version}, which is not known`);
    return { name, sizeBytes: parseCount(last.get("GNU.sparse.realsize")), stretches: undefined };
  }
  const size = last.get("GNU.sparse.size");
  if (size === undefined) return undefined;
  const map = last.get("GNU.sparse.map");
  const numbers =
    map?.split(",") ??
    records
      .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
      .map(([, value]) => value.toString("latin1"));
  return { name, sizeBytes: parseCount(size), stretches: pairUp(numbers.filter(text => text !== "")) };
}

/**
 * Format 1.0: a count and its pairs, a decimal number a line, filled up with NULs to a whole block.
 *
 * @param readBlock the next block of the entry
 */
export async function readLeadingMap(readBlock: () => Promise<Buffer>): Promise<Stretch[]> {
  const numbers: string[] = [];
  let rest = "";
  for (let wanted = 1; numbers.length < wanted; ) {
    const lines = (rest + (await readBlock()).toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > TAR_BLOCK_BYTES) throw new DecodeError("has a sparse map that is no list of numbers");
    numbers.push(...lines);
    if (wanted === 1 && numbers[0] !== undefined) {
      const count = parseCount(numbers[0]);
      requireFew(count);
      wanted += 2 * count;
    }
    if (numbers.length > wanted) throw new DecodeError("has a sparse map that is longer than it says");
  }
  return pairUp(numbers.slice(1));
}

function pairUp(numbers: readonly string[]): Stretch[] {
  requireFew(numbers.length / 2);
  if (numbers.length % 2 !== 0) throw new DecodeError("has a sparse map with half a pair");
  return Array.from({ length: numbers.length / 2 }, (_, index) => ({
    offsetBytes: parseCount(numbers[2 * index]),
    sizeBytes: parseCount(numbers[2 * index + 1]),
  }));
}

/**
 * @param storedBytes what the archive holds of the file
 * @returns the stretches that have bytes
 * @throws {DecodeError} unless they stand in order, within the file, and are just what is stored
 */
export function checkStretches(
  stretches: readonly Stretch[],
  sizeBytes: number,
  storedBytes: number,
): readonly Stretch[] {
  let end = 0;
  let total = 0;
  for (const stretch of stretches) {
    if (stretch.offsetBytes < end) throw new DecodeError("has a sparse map that goes back");
    end = stretch.offsetBytes + stretch.sizeBytes;
    total += stretch.sizeBytes;
  }
  if (end > sizeBytes) throw new DecodeError(`has a sparse map beyond its ${sizeBytes} bytes`);
  if (total !== storedBytes) {
    throw new DecodeError(`has a sparse map of ${total} bytes and ${storedBytes} bytes of content`);
  }
  return stretches.filter(stretch => stretch.sizeBytes > 0);
}

function requireFew(count: number): void {
  if (count > MAX_STRETCHES) throw new DecodeError(`has a sparse map of over ${MAX_STRETCHES} stretches`);
}

/** @throws {DecodeError} */
export function parseCount(text: string | undefined): number {
  const value = /^[0-9]{1,16}$/.test(text ?? "") ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw new DecodeError(`has ${JSON.stringify(text)} where a number belongs`);
  return value;
}
