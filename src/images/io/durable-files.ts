/** Files that are either whole and safe on disk or not there: write aside, fsync, rename, fsync the directory. */
import { open, readdir, rename, rm, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

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

/** Removes what stands beside `path` unfinished, files and folders, of processes of this host that are gone. */
export async function removeAbandoned(path: string): Promise<void> {
  const dir = dirname(path);
  const start = `${basename(path)}.`;
  // Where the folder is missing, whoever writes there will say so.
  for (const name of await readdir(dir).catch(() => [])) {
    if (!name.startsWith(start) || !name.endsWith(UNFINISHED)) continue;
    const pid = /^([1-9][0-9]*)-[0-9]+$/.exec(name.slice(start.length, -UNFINISHED.length))?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    // What is another user's is in nobody's way.
    await rm(join(dir, name), { recursive: true, force: true }).catch(() => {});
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
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
