/** Everything that differs between two images: files and packages where the file system can be read, chunks in any case. */
import { DecodeError } from "../../core/errors.ts";
import { Ext4Volume } from "../ext4-reader/volume.ts";
import type { ImageReader } from "../image-reader.ts";
import type { ChangeTotals } from "./change-list.ts";
import type { Side } from "./compare-content.ts";
import { type ChunkTotals, compareChunks } from "./compare-manifests.ts";
import { compareVolumes } from "./compare-volumes.ts";
import type { FileChange } from "./file-change.ts";
import { ImageBytes } from "./image-bytes.ts";
import { comparePackages, type PackageChanges } from "./packages.ts";
import { readPackages } from "./read-packages.ts";

export type FileComparison =
  | {
      readonly kind: "compared";
      readonly totals: ChangeTotals;
      /** In the order of their paths. */
      readonly changes: readonly FileChange[];
      /** How many more there are than an answer may hold. */
      readonly omitted: number;
    }
  | { readonly kind: "not-compared"; readonly reason: string };

export type PackageComparison =
  | ({ readonly kind: "compared"; readonly system: "dpkg" | "apk" } & PackageChanges)
  | { readonly kind: "not-compared"; readonly reason: string };

export interface ImageComparison {
  readonly chunks: ChunkTotals;
  readonly files: FileComparison;
  readonly packages: PackageComparison;
}

/**
 * @param breathe awaited before each read: lets others have their turn, and throws when nobody waits for the answer
 * @throws what reading a chunk throws; a file system that is none, or damaged, is a reason in the answer
 */
export async function compareImages(
  before: ImageReader,
  after: ImageReader,
  breathe: () => Promise<void>,
): Promise<ImageComparison> {
  const chunks = compareChunks(before.payload, after.payload);
  const left = await openSide("the first image", before, breathe);
  const right = await openSide("the second image", after, breathe);
  const reason = [left, right].flatMap(side => (typeof side === "string" ? [side] : [])).join("; ");
  if (typeof left === "string" || typeof right === "string") {
    const notCompared = { kind: "not-compared", reason } as const;
    return { chunks, files: notCompared, packages: notCompared };
  }
  return {
    chunks,
    packages: await orReason(() => comparePackagesOf(left, right)),
    files: await orReason(() => compareFilesOf(left, right)),
  };
}

/** @returns a sentence where it cannot be read */
async function openSide(
  name: string,
  reader: ImageReader,
  breathe: () => Promise<void>,
): Promise<Side | string> {
  if (reader.payload.name !== "rootfs.img")
    return `${name} is a whole disk, in which no file system is looked for`;
  const bytes = new ImageBytes(reader, breathe);
  try {
    return { bytes, volume: await Ext4Volume.open(bytes.read, bytes.sizeBytes) };
  } catch (error) {
    if (error instanceof DecodeError) return `the file system of ${name} cannot be read: ${error.message}`;
    throw error;
  }
}

async function compareFilesOf(left: Side, right: Side): Promise<FileComparison> {
  const { listed, omitted, totals } = await compareVolumes([left, right]);
  // Files whose bytes had to be read were found last.
  const changes = listed.sort((one, other) => (one.path < other.path ? -1 : 1));
  return { kind: "compared", totals, changes, omitted };
}

async function comparePackagesOf(left: Side, right: Side): Promise<PackageComparison> {
  const before = await readPackages(left.volume);
  const after = await readPackages(right.volume);
  if (before.kind === "none") return { kind: "not-compared", reason: before.reason };
  if (after.kind === "none") return { kind: "not-compared", reason: after.reason };
  if (before.system !== after.system) {
    return {
      kind: "not-compared",
      reason: `one image has packages of ${before.system}, the other of ${after.system}`,
    };
  }
  return { kind: "compared", system: after.system, ...comparePackages(before.packages, after.packages) };
}

async function orReason<T>(
  compare: () => Promise<T>,
): Promise<T | { readonly kind: "not-compared"; readonly reason: string }> {
  try {
    return await compare();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { kind: "not-compared", reason: `a file system contradicts itself: ${error.message}` };
  }
}
