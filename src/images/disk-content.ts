/**
 * What a disk already holds, from its first and last bytes. Anything but zeros there counts as somebody's data: tables,
 * file systems and RAID members all leave a mark at one end, and an unknown mark deserves the same respect.
 */
import { type Guid, recogniseGpt } from "./gpt.ts";

/** How much of each end of the disk is looked at: covers btrfs at 64 KiB, and a backup GPT, ZFS and md at the end. */
export const CONTENT_PROBE_BYTES = 1024 * 1024;

export type DiskContent =
  | { readonly kind: "empty" }
  | {
      readonly kind: "used";
      /** "a partition table (drp-bios, drp-esp)": completes "the disk holds …". */
      readonly description: string;
      /** Of a GPT whose primary header is whole, otherwise null. */
      readonly diskGuid: Guid | null;
    };

/**
 * @param head the first CONTENT_PROBE_BYTES of the disk
 * @param tail the last ones
 */
export function describeDiskContent(head: Uint8Array, tail: Uint8Array, sectorBytes: number): DiskContent {
  if (isZero(head) && isZero(tail)) return { kind: "empty" };
  const gpt = recogniseGpt(head, sectorBytes);
  if (gpt === undefined) return { kind: "used", description: describeWithoutGpt(head), diskGuid: null };
  const labels = gpt.labels.map(label => label || "unnamed").join(", ");
  return {
    kind: "used",
    description: labels === "" ? "an empty partition table" : `a partition table (${labels})`,
    diskGuid: gpt.diskGuid,
  };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte === 0);
}

function describeWithoutGpt(head: Uint8Array): string {
  if (head[510] === 0x55 && head[511] === 0xaa) return "a boot sector or a DOS partition table";
  if (head[0x438] === 0x53 && head[0x439] === 0xef) return "an ext file system";
  return "data";
}
