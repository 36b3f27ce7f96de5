/**
 * Access control lists (POSIX.1e draft 17) in the three forms that they come in: as text in a tar, as the kernel hands out
 * system.posix_acl_*, and as ext4 keeps them.
 */
import { DecodeError } from "../core/errors.ts";

interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  /** Of a named user or group. */
  readonly id: number | undefined;
}

/** Of the kernel's extended attribute, and of ext4's own. */
const KERNEL_VERSION = 2;
const DISK_VERSION = 1;
const NO_ID = 0xffffffff;
const TAGS = { user: 0x01, namedUser: 0x02, group: 0x04, namedGroup: 0x08, mask: 0x10, other: 0x20 } as const;
const hasId = (tag: number) => tag === TAGS.namedUser || tag === TAGS.namedGroup;

/**
 * "user::rwx,group::r-x,user:lp:r--:7,mask::r-x,other::---": one an entry, by commas or lines; the id as the name, or behind
 * the permissions (star).
 *
 * @returns as the kernel hands it out
 * @throws {DecodeError} also for names without numbers, which mean nothing in an image
 */
export function parseAclText(text: string): Buffer {
  const lines = text.split(/[,\n]/).map(line => line.replace(/#.*$/, "").trim());
  const entries = lines.filter(line => line !== "").map(parseAclEntry);
  entries.sort((a, b) => a.tag - b.tag || (a.id ?? 0) - (b.id ?? 0));
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(KERNEL_VERSION, 0);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(permissions, 6 + 8 * index);
    bytes.writeUInt32LE(id ?? NO_ID, 8 + 8 * index);
  }
  return bytes;
}

function parseAclEntry(line: string): AclEntry {
  const fail = () =>
    new DecodeError(`has the access control entry ${JSON.stringify(line)}, which is not understood`);
  const [kind = "", name = "", letters = "", number] = line.split(":");
  const tag = {
    user: name === "" ? TAGS.user : TAGS.namedUser,
    u: name === "" ? TAGS.user : TAGS.namedUser,
    group: name === "" ? TAGS.group : TAGS.namedGroup,
    g: name === "" ? TAGS.group : TAGS.namedGroup,
    mask: TAGS.mask,
    m: TAGS.mask,
    other: TAGS.other,
    o: TAGS.other,
  }[kind];
  if (tag === undefined || !/^[r-][w-][x-]$/.test(letters)) throw fail();
  const permissions = [...letters].reduce((bits, letter) => bits * 2 + (letter === "-" ? 0 : 1), 0);
  if (!hasId(tag)) return { tag, permissions, id: undefined };
  const id = /^[0-9]+$/.test(number ?? name) ? Number(number ?? name) : Number.NaN;
  if (!(id < NO_ID)) throw fail();
  return { tag, permissions, id };
}

/** @returns false for what the kernel would refuse */
export function isKernelAcl(value: Buffer): boolean {
  if (value.length < 4 || value.length % 8 !== 4 || value.readUInt32LE(0) !== KERNEL_VERSION) return false;
  return readKernelAcl(value).every(
    ({ tag, permissions }) => Object.values(TAGS).some(known => known === tag) && permissions <= 7,
  );
}

/** @param value as the kernel hands it out */
export function encodeAclForDisk(value: Buffer): Buffer {
  const version = Buffer.alloc(4);
  version.writeUInt32LE(DISK_VERSION);
  const entries = readKernelAcl(value).map(({ tag, permissions, id }) => {
    const bytes = Buffer.alloc(id === undefined ? 4 : 8);
    bytes.writeUInt16LE(tag, 0);
    bytes.writeUInt16LE(permissions, 2);
    if (id !== undefined) bytes.writeUInt32LE(id, 4);
    return bytes;
  });
  return Buffer.concat([version, ...entries]);
}

function readKernelAcl(value: Buffer): AclEntry[] {
  return Array.from({ length: (value.length - 4) / 8 }, (_, index) => {
    const at = 4 + 8 * index;
    const tag = value.readUInt16LE(at);
    return {
      tag,
      permissions: value.readUInt16LE(at + 2),
      id: hasId(tag) ? value.readUInt32LE(at + 4) : undefined,
    };
  });
}
