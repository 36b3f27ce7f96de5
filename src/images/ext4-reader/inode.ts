/** One inode: what a file is and whose, without what is in it (the kernel's Documentation/filesystems/ext4/inodes.rst). */
import { DecodeError } from "../../core/errors.ts";

export type InodeKind =
  | "file"
  | "directory"
  | "symlink"
  | "character-device"
  | "block-device"
  | "fifo"
  | "socket";

export interface Inode {
  readonly number: number;
  readonly kind: InodeKind;
  /** Permission bits with setuid, setgid and sticky: at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Names that it has. */
  readonly links: number;
  readonly hasExtents: boolean;
  /** 60 bytes: the root of the extent tree, block numbers, a short link's target, or a device's number. */
  readonly blockField: Buffer;
  /** Of the block with more extended attributes; 0: none. */
  readonly attributeBlock: number;
  /** What is behind the fixed fields; attributes may be in it. */
  readonly tail: Buffer;
}

const KINDS: Readonly<Record<number, InodeKind>> = {
  1: "fifo",
  2: "character-device",
  4: "directory",
  6: "block-device",
  8: "file",
  10: "symlink",
  12: "socket",
};
const EXTENTS_FLAG = 0x8_0000;
const FIXED_BYTES = 128;

/**
 * @param bytes the whole inode
 * @throws {DecodeError} naming the inode
 */
export function decodeInode(bytes: Buffer, number: number, hasLargeDirectories: boolean): Inode {
  const modeField = bytes.readUInt16LE(0x00);
  const kind = KINDS[modeField >>> 12];
  if (kind === undefined) {
    throw new DecodeError(`inode ${number} is of no kind: mode 0x${modeField.toString(16)}`);
  }
  const isLong = kind === "file" || (kind === "directory" && hasLargeDirectories);
  const sizeBytes = bytes.readUInt32LE(0x04) + (isLong ? bytes.readUInt32LE(0x6c) * 2 ** 32 : 0);
  if (!Number.isSafeInteger(sizeBytes)) throw new DecodeError(`inode ${number} claims ${sizeBytes} bytes`);
  const extraBytes = bytes.length > FIXED_BYTES ? bytes.readUInt16LE(0x80) : 0;
  return {
    number,
    kind,
    mode: modeField & 0o7777,
    uid: bytes.readUInt16LE(0x02) + bytes.readUInt16LE(0x78) * 2 ** 16,
    gid: bytes.readUInt16LE(0x18) + bytes.readUInt16LE(0x7a) * 2 ** 16,
    sizeBytes,
    links: bytes.readUInt16LE(0x1a),
    hasExtents: (bytes.readUInt32LE(0x20) & EXTENTS_FLAG) !== 0,
    blockField: Buffer.from(bytes.subarray(0x28, 0x64)),
    attributeBlock: bytes.readUInt32LE(0x68) + bytes.readUInt16LE(0x76) * 2 ** 32,
    tail: Buffer.from(bytes.subarray(FIXED_BYTES + extraBytes)),
  };
}

/** "8:1": of a device's inode. */
export function deviceNumber({ blockField }: Inode): string {
  const short = blockField.readUInt32LE(0);
  if (short !== 0) return `${(short >>> 8) & 0xff}:${short & 0xff}`;
  const long = blockField.readUInt32LE(4);
  return `${(long >>> 8) & 0xfff}:${(long & 0xff) | ((long >>> 12) & 0xf_ff00)}`;
}
