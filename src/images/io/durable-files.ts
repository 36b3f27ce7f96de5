/** Files that are either whole and safe on disk or not there: write aside, fsync, rename, fsync the directory. */
import { open, readdir, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";

/** How unfinished files end; who opens a folder removes what a crash left. */
const UNFINISHED = ".unfinished";
let serial = 0;

/** A name beside the final one, on the same file system, that no other writer uses. */
export function unfinishedPath(path: string): string {
  return `${path}.${process.pid}-${serial++}${UNFINISHED}`;
}

/** Replaces `path` at once; durable after `syncDirectory` on its folder. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const aside = unfinishedPath(path);
  try {
    await using file = await open(aside, "wx");
    await file.writeFile(content);
    await file.sync();
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

/** @param dir searched with all below it */
export async function removeUnfinished(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith(UNFINISHED)) await unlink(join(entry.parentPath, entry.name));
  }
}
