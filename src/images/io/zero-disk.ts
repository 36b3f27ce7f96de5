/** Lets a disk zero ranges of itself, where it promises that they read back as zeros; writes none over the bus. */
import { readFile, stat } from "node:fs/promises";
import type { ByteRange } from "../slot-fill.ts";
import type { Disk } from "./disk.ts";
import { runTool } from "./run-tool.ts";

/** @returns whether the ranges read as zeros now; false: nothing was done, or not everywhere */
export async function zeroDisk(disk: Disk, ranges: readonly ByteRange[]): Promise<boolean> {
  if (await disk.isEmptyFile()) return true;
  if (!(await writesZeroes(disk.path))) return false;
  try {
    for (const { offsetBytes, lengthBytes } of ranges) {
      // --force: without it the program wants the disk for itself alone, and it is ours.
      const range = ["--offset", String(offsetBytes), "--length", String(lengthBytes)];
      await runTool("blkdiscard", ["--force", "--zeroout", ...range, disk.path]);
    }
    return true;
  } catch {
    // An image without the program, or a disk that does not keep its word: the zeros are written.
    return false;
  }
}

/** Without the command the kernel would write the zeros itself (BLKZEROOUT), where reading first is cheaper. */
async function writesZeroes(path: string): Promise<boolean> {
  const { rdev } = await stat(path);
  // The kernel's dev_t as stat(2) gives it (sysmacros.h).
  const device = `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`;
  const limit = await readFile(`/sys/dev/block/${device}/queue/write_zeroes_max_bytes`, "utf8").catch(
    () => "0",
  );
  return Number(limit) > 0;
}
