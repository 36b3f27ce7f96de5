/** The one folder that holds everything that a hub or a site must not lose, and the lock that lets one process at a time use it. */
import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import Database from "better-sqlite3";
import { DrpError } from "../../core/errors.ts";
import { storageError } from "../../core/storage-error.ts";

export interface DataFolder {
  /** Absolute. */
  readonly path: string;
  /** Lets another process have the folder. The operating system does the same when this process dies. */
  release(): void;
}

/**
 * Makes the folder (0700) where it is missing and locks it. SQLite's exclusive lock is an advisory lock of the operating
 * system on a file: no stale lock can stay behind after a crash.
 *
 * @param nativeBinding better-sqlite3's addon, in the single executable
 * @throws {DrpError} data.locked, data.unwritable, storage.full
 */
export function openDataFolder(dir: string, nativeBinding?: string): DataFolder {
  const path = resolve(dir);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (!statSync(path).isDirectory()) throw new Error("it is not a folder");
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw storageError(path, error);
  }
  const lock = lockFolder(path, nativeBinding);
  return { path, release: () => lock.close() };
}

function lockFolder(path: string, nativeBinding: string | undefined): Database.Database {
  let lock: Database.Database | undefined;
  try {
    lock = new Database(join(path, "lock.db"), {
      timeout: 0,
      ...(nativeBinding === undefined ? {} : { nativeBinding }),
    });
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    const busy = error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY");
    if (!busy) throw storageError(path, error);
    throw new DrpError("data.locked", `another drp already uses the data folder ${path}`, {
      advice: `Stop it first (\`fuser ${join(path, "lock.db")}\` names its process), or give this one its own folder: --data FOLDER`,
      facts: { folder: path },
    });
  }
}
