/**
 * What an archive says about one name, and the rules that it must keep before it may become a file: names that stay below the
 * root, attributes and sizes that ext4 can hold.
 */
import { DrpError } from "../core/errors.ts";
import { findForeignXattr, MAX_XATTR_BYTES, measureXattrs } from "./ext4-writer/xattrs.ts";
import { isKernelAcl } from "./posix-acl.ts";
import type { NodeAttributes, NodeBody } from "./tree-node.ts";

export interface ArchiveEntry {
  /** As the archive has it: "./etc/passwd", "etc/". A byte string, as all names (see tree-node.ts). */
  readonly name: string;
  /** Where the entry begins in the archive, decompressed: for errors. */
  readonly offsetBytes: number;
  readonly attributes: NodeAttributes;
  readonly body:
    | NodeBody
    | { readonly kind: "directory" }
    | { readonly kind: "hard-link"; readonly target: string };
}

/** The kernel's NAME_MAX and PATH_MAX. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 4095;
/** Far beyond any real tree; whoever walks one may recurse. */
export const MAX_DEPTH = 256;
const MAX_ID = 2 ** 32 - 1;
/** ext4: 32 bits with a sign, and two bits more towards the future (1901 to 2446). */
const MIN_MTIME = -(2 ** 31);
const MAX_MTIME = 2 ** 31 + 3 * 2 ** 32 - 1;
/** Bits that Linux keeps of a device number. */
const MAX_MAJOR = 2 ** 12 - 1;
const MAX_MINOR = 2 ** 20 - 1;
/** 2³² - 1 blocks of 4 KiB. */
const MAX_FILE_BYTES = (2 ** 32 - 1) * 4096;

/** @param what "has …", "is …": what is wrong with the entry */
export function entryError(
  { name, offsetBytes }: Pick<ArchiveEntry, "name" | "offsetBytes">,
  what: string,
): DrpError {
  return new DrpError("input.unreadable", `entry ${showName(name)} at byte ${offsetBytes} ${what}`, {
    advice: "Make the archive again without it.",
    facts: { offsetBytes },
  });
}

/** A byte string for people; a hostile name must not fill a log or move a terminal's cursor. */
export function showName(name: string): string {
  const text = Buffer.from(name.slice(0, 101), "latin1").toString("utf8");
  return JSON.stringify(name.length > 100 ? `${text.slice(0, 100)}…` : text);
}

/** @returns the names from the root down, none for the root itself; or what is wrong: "has …" */
export function parseArchivePath(path: string): { readonly names: string[] } | { readonly problem: string } {
  if (path === "") return { problem: "has no name" };
  if (path.startsWith("/")) return { problem: "has an absolute name" };
  if (path.includes("\0")) return { problem: "has a NUL in its name" };
  if (path.length > MAX_PATH_BYTES) return { problem: `has a name of ${path.length} bytes` };
  const names = path.split("/").filter(name => name !== "" && name !== ".");
  if (names.includes("..")) return { problem: 'has ".." in its name' };
  if (names.length > MAX_DEPTH) return { problem: `lies ${names.length} directories deep` };
  const tooLong = names.find(name => name.length > MAX_NAME_BYTES);
  if (tooLong !== undefined) return { problem: `has a part of ${tooLong.length} bytes in its name` };
  return { names };
}

/** @returns "has …" when no file system of ours could hold it */
export function findProblem({ attributes, body }: ArchiveEntry): string | undefined {
  const { uid, gid, mtime, xattrs } = attributes;
  if (!isWithin(uid, 0, MAX_ID) || !isWithin(gid, 0, MAX_ID)) return `has the owner ${uid}:${gid}`;
  if (!isWithin(mtime, MIN_MTIME, MAX_MTIME)) return `has a time of ${mtime} seconds since 1970`;
  if (measureXattrs(xattrs) > MAX_XATTR_BYTES) return "has more extended attributes than a block can hold";
  const foreign = findForeignXattr(xattrs);
  if (foreign !== undefined) return `has the attribute ${showName(foreign)}, which ext4 has no place for`;
  const acls = ["system.posix_acl_access", "system.posix_acl_default"].map(name => xattrs.get(name));
  if (acls.some(acl => acl !== undefined && !isKernelAcl(acl))) return "has a damaged access control list";
  switch (body.kind) {
    case "character-device":
    case "block-device":
      return isWithin(body.major, 0, MAX_MAJOR) && isWithin(body.minor, 0, MAX_MINOR)
        ? undefined
        : `has the device number ${body.major}:${body.minor}`;
    case "symlink":
      if (body.target === "" || body.target.includes("\0")) return "is a symbolic link to nothing";
      return body.target.length > MAX_PATH_BYTES
        ? `is a symbolic link of ${body.target.length} bytes`
        : undefined;
    case "file":
      return isWithin(body.content.sizeBytes, 0, MAX_FILE_BYTES)
        ? undefined
        : `has ${body.content.sizeBytes} bytes`;
    default:
      return undefined;
  }
}

/** Whole numbers only. */
function isWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
