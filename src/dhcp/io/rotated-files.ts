/** Files that a newer one replaced, kept beside it as PATH.1 (the newest), PATH.2 and so on. What is in them is not known here. */
import { link, rename, stat } from "node:fs/promises";

/**
 * Gives the file the second name PATH.1 before a newer one takes its first: at no moment is there no file of the name. A crash
 * before that leaves both names on one file, which the next call then passes over. Where a file cannot have two names, there
 * is no history: what is replaced is worth less than what replaces it.
 *
 * @param keep how many; the oldest goes
 */
export async function keepAsHistory(path: string, keep: number): Promise<void> {
  const [current, newest] = await Promise.all([inodeOf(path), inodeOf(`${path}.1`)]);
  if (current === undefined || current === newest) return;
  for (let number = keep - 1; number >= 1; number--) {
    await rename(`${path}.${number}`, `${path}.${number + 1}`).catch(() => {});
  }
  await link(path, `${path}.1`).catch(() => {});
}

/** The file and those that it replaced, newest first; a file with two names is given once. */
export async function filesWithHistory(path: string, keep: number): Promise<string[]> {
  const names = [path, ...Array.from({ length: keep }, (_, index) => `${path}.${index + 1}`)];
  const inodes = await Promise.all(names.map(inodeOf));
  return names.filter((_, index) => inodes[index] !== undefined && inodes.indexOf(inodes[index]) === index);
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch {
    return undefined;
  }
}
