/** Finds the package database of a file system. */
import { DecodeError } from "../../core/errors.ts";
import type { Inode } from "../ext4-reader/inode.ts";
import { type Ext4Volume, ROOT_INODE } from "../ext4-reader/volume.ts";
import { type Package, parseApkInstalled, parseDpkgStatus } from "./packages.ts";

export type FoundPackages =
  | { readonly kind: "found"; readonly system: "dpkg" | "apk"; readonly packages: readonly Package[] }
  | { readonly kind: "none"; readonly reason: string };

/** Debian's with 60,000 packages, ten times a full desktop: all files of it together, holes and all. */
const MAX_DATABASE_BYTES = 64 * 1024 * 1024;
const MAX_DATABASE_FILES = 60_000;

/** @throws {DecodeError} */
export async function readPackages(volume: Ext4Volume): Promise<FoundPackages> {
  const dpkg = await readText(volume, "var/lib/dpkg/status");
  const leftBytes = MAX_DATABASE_BYTES - (dpkg?.length ?? 0);
  const parts = await readFolder(volume, "var/lib/dpkg/status.d", leftBytes);
  if (dpkg !== undefined || parts.length > 0) {
    return { kind: "found", system: "dpkg", packages: [dpkg ?? "", ...parts].flatMap(parseDpkgStatus) };
  }
  const apk =
    (await readText(volume, "lib/apk/db/installed")) ?? (await readText(volume, "usr/lib/apk/db/installed"));
  if (apk !== undefined) return { kind: "found", system: "apk", packages: parseApkInstalled(apk) };
  for (const folder of ["var/lib/rpm", "usr/lib/sysimage/rpm"]) {
    if ((await find(volume, folder)) !== undefined) {
      return { kind: "none", reason: `the rpm database in /${folder} is not read` };
    }
  }
  return { kind: "none", reason: "there is no package database of dpkg or apk" };
}

async function readText(volume: Ext4Volume, path: string): Promise<string | undefined> {
  const inode = await find(volume, path);
  if (inode?.kind !== "file") return undefined;
  return (await volume.readFile(inode, MAX_DATABASE_BYTES)).toString("utf8");
}

/** Distroless: a file for each package, and its checksums beside it. */
async function readFolder(volume: Ext4Volume, path: string, maxBytes: number): Promise<string[]> {
  const folder = await find(volume, path);
  if (folder?.kind !== "directory") return [];
  const texts: string[] = [];
  let totalBytes = 0;
  for (const { name, inode } of await volume.readDirectory(folder)) {
    const file = name.endsWith(".md5sums") ? undefined : await volume.readInode(inode);
    if (file?.kind !== "file") continue;
    totalBytes += file.sizeBytes;
    if (totalBytes > maxBytes || texts.length === MAX_DATABASE_FILES) {
      throw new DecodeError(
        `the package database in /${path} is larger than ${MAX_DATABASE_BYTES} bytes or ${MAX_DATABASE_FILES} files`,
      );
    }
    texts.push((await volume.readFile(file, maxBytes)).toString("utf8"));
  }
  return texts;
}

/** Follows no symbolic link. */
async function find(volume: Ext4Volume, path: string): Promise<Inode | undefined> {
  let inode = await volume.readInode(ROOT_INODE);
  for (const name of path.split("/")) {
    if (inode.kind !== "directory") return undefined;
    const entry = (await volume.readDirectory(inode)).find(candidate => candidate.name === name);
    if (entry === undefined) return undefined;
    inode = await volume.readInode(entry.inode);
  }
  return inode;
}
