/** Reads both ends of a disk, so that what it holds can be judged. */
import { CONTENT_PROBE_BYTES, type DiskContent, describeDiskContent } from "../disk-content.ts";
import type { Disk } from "./disk.ts";

/** @throws {DrpError} disk.failed */
export async function readDiskContent(disk: Disk, sectorBytes: number): Promise<DiskContent> {
  const probeBytes = Math.min(CONTENT_PROBE_BYTES, disk.sizeBytes);
  const head = await disk.read(0, probeBytes);
  const tail = await disk.read(disk.sizeBytes - probeBytes, probeBytes);
  return describeDiskContent(head, tail, sectorBytes);
}
