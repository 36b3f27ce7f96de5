/**
 * The first sector of a GPT disk: the protective MBR (UEFI specification 2.10, §5.2.3), and GRUB's BIOS boot code put into
 * it by patching, so that the ramdisk needs no GRUB tools. The offsets are those of GRUB 2.06,
 * `include/grub/i386/pc/boot.h`; what is done to the bytes is what `grub-bios-setup` does for a hard disk.
 */
import { DecodeError } from "../core/errors.ts";

/** BIOS, boot.img and core.img count in these, whatever the disk's own sectors. */
export const BOOT_SECTOR_BYTES = 512;

/** Boot code ends where the NT disk signature and the partition table begin. */
const CODE_BYTES = 440;
const PARTITION_TABLE_OFFSET = 446;
const BOOT_SIGNATURE_OFFSET = 510;
const BOOT_SIGNATURE = 0xaa55;
/** GRUB_BOOT_MACHINE_KERNEL_SECTOR: where boot.img looks for core.img, 64 bits. */
const KERNEL_SECTOR_OFFSET = 0x5c;
/** GRUB_BOOT_MACHINE_DRIVE_CHECK: a jump that trusts only sane drive numbers; needed for floppies. */
const DRIVE_CHECK_OFFSET = 0x66;
const JUMP_SHORT = 0xeb;
const NO_OPERATION = 0x90;
/** GRUB_BOOT_MACHINE_LIST_SIZE below the end of core.img's first sector: the first block list. */
const BLOCK_LIST_OFFSET = 0x1f4;
/** GRUB_BOOT_MACHINE_KERNEL_SEG and one sector: where the second sector of core.img is loaded. */
const SECOND_SECTOR_SEGMENT = 0x820;
const MAX_LBA32 = 0xffff_ffff;

/** @returns one sector of 512 bytes without boot code */
export function encodeProtectiveMbr(geometry: { sizeBytes: number; sectorBytes: number }): Buffer {
  const sector = Buffer.alloc(BOOT_SECTOR_BYTES);
  const sectorCount = Math.floor(geometry.sizeBytes / geometry.sectorBytes);
  const entry = sector.subarray(PARTITION_TABLE_OFFSET);
  // First sector as cylinder, head, sector; type 0xee (GPT protective); last sector beyond what that notation can say.
  entry.set([0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 1);
  entry.writeUInt32LE(1, 8);
  entry.writeUInt32LE(Math.min(sectorCount - 1, MAX_LBA32), 12);
  sector.writeUInt16LE(BOOT_SIGNATURE, BOOT_SIGNATURE_OFFSET);
  return sector;
}

/**
 * @param mbr the disk's first sector, whose partition table stays as it is
 * @param bootImage GRUB's boot.img
 * @param coreLba where core.img lies, in sectors of 512 bytes
 * @throws {DecodeError} when boot.img is not the boot sector that these offsets belong to
 */
export function patchBootSector(mbr: Uint8Array, bootImage: Uint8Array, coreLba: number): Buffer {
  const code = Buffer.from(bootImage);
  const looksRight =
    code.length === BOOT_SECTOR_BYTES &&
    code.readUInt16LE(BOOT_SIGNATURE_OFFSET) === BOOT_SIGNATURE &&
    code.readUInt8(DRIVE_CHECK_OFFSET) === JUMP_SHORT;
  if (!looksRight) throw new DecodeError("boot.img is not a boot sector of GRUB 2.06");
  const sector = Buffer.from(mbr);
  code.copy(sector, 0, 0, CODE_BYTES);
  sector.writeBigUInt64LE(BigInt(coreLba), KERNEL_SECTOR_OFFSET);
  sector.fill(NO_OPERATION, DRIVE_CHECK_OFFSET, DRIVE_CHECK_OFFSET + 2);
  return sector;
}

/**
 * Tells core.img where the rest of it lies: right behind its first sector.
 *
 * @param coreLba where it will lie, in sectors of 512 bytes
 * @param roomBytes of the BIOS boot partition
 * @returns whole sectors
 * @throws {DecodeError} when it is no core.img or does not fit
 */
export function patchCoreImage(coreImage: Uint8Array, coreLba: number, roomBytes: number): Buffer {
  const sectors = Math.ceil(coreImage.length / BOOT_SECTOR_BYTES);
  if (sectors < 2 || sectors * BOOT_SECTOR_BYTES > roomBytes) {
    throw new DecodeError(`core.img has ${coreImage.length} bytes; its partition holds ${roomBytes}`);
  }
  const core = Buffer.alloc(sectors * BOOT_SECTOR_BYTES);
  core.set(coreImage);
  if (core.readUInt16LE(BLOCK_LIST_OFFSET + 10) !== SECOND_SECTOR_SEGMENT) {
    throw new DecodeError(`core.img has no block list at offset ${BLOCK_LIST_OFFSET}`);
  }
  core.writeBigUInt64LE(BigInt(coreLba + 1), BLOCK_LIST_OFFSET);
  core.writeUInt16LE(sectors - 1, BLOCK_LIST_OFFSET + 8);
  return core;
}
