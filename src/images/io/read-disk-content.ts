/** Reads both ends of a disk, so that what it holds can be judged. */
import { CONTENT_PROBE_BYTES, type DiskContent, describeDiskContent } from "../disk-content.ts";
import type { Disk } from "./disk.ts";

/** @throws {DrpError} disk.failed */
export async function readDiskContent(disk: Disk, sectorBytes: number): Promise<DiskContent> {
  const probeBytes = Math.min(CONTENT_PROBE_BYTES, disk.sizeBytes);
  const head = Buffer.alloc(probeBytes);
  const tail = Buffer.alloc(probeBytes);
  await disk.readInto(head, 0);
  await disk.readInto(tail, disk.sizeBytes - probeBytes);
  return describeDiskContent(head, tail, sectorBytes);
}
