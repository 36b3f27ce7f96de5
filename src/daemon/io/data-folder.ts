/** The one folder that holds everything that a hub or a site must not lose, and the lock that lets one process at a time use it. */
import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import Database from "better-sqlite3";
import { DrpError } from "../../core/errors.ts";

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
    throw unwritable(path, error);
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
    if (!busy) throw unwritable(path, error);
    throw new DrpError("data.locked", `another drp already uses the data folder ${path}`, {
      advice: `Stop it first (\`fuser ${join(path, "lock.db")}\` names its process), or give this one its own folder: --data FOLDER`,
      facts: { folder: path },
    });
  }
}

function unwritable(path: string, cause: unknown): DrpError {
  const { code } = cause as { code?: string };
  const facts = { folder: path };
  if (code === "ENOSPC" || code === "SQLITE_FULL") {
    return new DrpError("storage.full", `no room left in the data folder ${path}`, {
      advice: "Free space on that file system, then start again.",
      facts,
      cause,
    });
  }
  return new DrpError("data.unwritable", `cannot use the data folder ${path}`, {
    advice:
      "Give this user the folder (`chown`), check that its file system is mounted read-write, or choose another with --data.",
    facts,
    cause,
  });
}
