/** Tells what kind of file someone hands in as an image, by its first bytes, and whether GRUB can boot from it. */

import { type Compression, recognizeCompression } from "./compression.ts";

/** Reaches past the ext4 superblock, and past the first descriptor of an ISO 9660 volume. */
export const FORMAT_HEAD_BYTES = 36_864;

export type ImageFormat =
  | {
      readonly kind: "ext4";
      /** What the superblock says the file system spans. */
      readonly sizeBytes: number;
      /** Features that GRUB 2.06 (Debian 12) cannot read, by their mke2fs names; and those of a volume in use. */
      readonly obstacles: readonly string[];
    }
  | { readonly kind: "compressed"; readonly compression: Compression; readonly name: string }
  /** With a table of partitions. */
  | { readonly kind: "disk"; readonly name: string }
  | { readonly kind: "qcow2" | "tar" | "other"; readonly name: string };

const PARTITIONED = "a partitioned disk";

/** Where a format's mark stands. */
const MARKS: readonly { readonly name: string; readonly offset: number; readonly mark: string }[] = [
  { name: "qcow2", offset: 0, mark: "QFI\xfb" },
  { name: "bzip2", offset: 0, mark: "BZh" },
  { name: "VMDK", offset: 0, mark: "KDMV" },
  { name: "VHDX", offset: 0, mark: "vhdxfile" },
  { name: "VHD", offset: 0, mark: "conectix" },
  { name: "squashfs", offset: 0, mark: "hsqs" },
  { name: "XFS", offset: 0, mark: "XFSB" },
  { name: "EROFS", offset: 1024, mark: "\xe2\xe1\xf5\xe0" },
  { name: "tar", offset: 257, mark: "ustar" },
  { name: "ISO 9660", offset: 32_769, mark: "CD001" },
  // A GPT's header stands in the second sector, of 512 or of 4096 bytes.
  { name: PARTITIONED, offset: 512, mark: "EFI PART" },
  { name: PARTITIONED, offset: 4096, mark: "EFI PART" },
];

/** Bytes from the file's start (the kernel's Documentation/filesystems/ext4/super.rst). */
const SUPERBLOCK = 1024;
const EXT4_MAGIC = 0xef53;

/**
 * Incompatible features that GRUB 2.06's ext2 module neither reads nor may ignore (its EXT2_DRIVER_SUPPORTED_INCOMPAT and
 * EXT2_DRIVER_IGNORED_INCOMPAT), and a journal that waits for replay, which a read-only slot never gets.
 */
const OBSTACLES: readonly { readonly bit: number; readonly name: string }[] = [
  { bit: 0x0001, name: "compression" },
  { bit: 0x0004, name: "a journal that needs recovery" },
  { bit: 0x0008, name: "journal_dev" },
  { bit: 0x0400, name: "ea_inode" },
  { bit: 0x2000, name: "metadata_csum_seed" },
  { bit: 0x4000, name: "large_dir" },
  { bit: 0x8000, name: "inline_data" },
  { bit: 0x1_0000, name: "encrypt" },
  { bit: 0x2_0000, name: "casefold" },
];
const INCOMPAT_64BIT = 0x80;

/** @param head the first FORMAT_HEAD_BYTES of the file, or all of a shorter one */
export function recognizeImageFormat(head: Buffer): ImageFormat {
  if (head.length >= 2 * SUPERBLOCK && head.readUInt16LE(SUPERBLOCK + 0x38) === EXT4_MAGIC) {
    return readSuperblock(head.subarray(SUPERBLOCK));
  }
  const compression = recognizeCompression(head);
  if (compression !== undefined) return { kind: "compressed", compression, name: compression };
  const name = MARKS.find(({ offset, mark }) =>
    head.subarray(offset, offset + mark.length).equals(Buffer.from(mark, "latin1")),
  )?.name;
  if (name === "qcow2" || name === "tar") return { kind: name, name };
  if (name === PARTITIONED || (name === undefined && hasPartitionTable(head))) {
    return { kind: "disk", name: PARTITIONED };
  }
  return { kind: "other", name: name ?? "nothing that is known" };
}

/** An MBR's table: four entries of 16 bytes, each active or not, at least one of them in use; a boot sector's code is not that. */
function hasPartitionTable(head: Buffer): boolean {
  if (head.length < 512 || head.readUInt16LE(510) !== 0xaa55) return false;
  const entries = [446, 462, 478, 494].map(at => ({
    status: head.readUInt8(at),
    type: head.readUInt8(at + 4),
    sectors: head.readUInt32LE(at + 12),
  }));
  const isTable = entries.every(({ status }) => status === 0 || status === 0x80);
  return isTable && entries.some(({ type, sectors }) => type !== 0 && sectors !== 0);
}

function readSuperblock(superblock: Buffer): ImageFormat {
  const incompatible = superblock.readUInt32LE(0x60);
  const highBlocks = (incompatible & INCOMPAT_64BIT) === 0 ? 0 : superblock.readUInt32LE(0x150);
  const blocks = superblock.readUInt32LE(0x04) + highBlocks * 2 ** 32;
  return {
    kind: "ext4",
    sizeBytes: blocks * 2 ** (10 + superblock.readUInt32LE(0x18)),
    obstacles: OBSTACLES.filter(({ bit }) => (incompatible & bit) !== 0).map(({ name }) => name),
  };
}
