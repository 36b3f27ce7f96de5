/** Files that must be there whole after a power cut, some of them for this user's eyes only. */
import { closeSync, fchmodSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { storageError } from "../../core/storage-error.ts";

/**
 * Written beside its name, fsynced, renamed: readers see the old content or the new one.
 *
 * @param mode as in chmod
 * @throws {DrpError} storage.full, data.unwritable
 */
export function writeFileDurably(path: string, content: string, mode: number): void {
  try {
    replaceFile(path, content, mode);
  } catch (cause) {
    throw storageError(path, cause);
  }
}

function replaceFile(path: string, content: string, mode: number): void {
  const partial = `${path}.new`;
  const file = openSync(partial, "w", mode);
  try {
    fchmodSync(file, mode);
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}

/** Undefined when there is no such file. */
export function readFileIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
