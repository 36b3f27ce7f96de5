/** The embedded store: one SQLite file, written by one process. */
import Database from "better-sqlite3";
import { Kysely, SqliteDialect } from "kysely";
import { DrpError } from "../core/errors.ts";
import type { DatabaseErrors } from "./commit-queue.ts";
import { KyselyStore } from "./kysely-store.ts";
import { migrate } from "./migrate.ts";
import type { Store } from "./ports.ts";
import type { Schema } from "./schema.ts";

export interface SqliteStoreOptions {
  readonly file: string;
  /** Path of better-sqlite3's addon where it cannot be found beside its package: in the single executable. */
  readonly nativeBinding?: string;
}

/** How long a statement waits for a backup or a `sqlite3` shell that holds the file. */
const BUSY_MS = 5_000;

/**
 * Opens or creates the file and brings its schema up to date.
 *
 * @throws {DrpError} storage.full, or data.unwritable when the file cannot be opened, read or written
 */
export async function openSqliteStore({ file, nativeBinding }: SqliteStoreOptions): Promise<Store> {
  const errors = sqliteErrors(file);
  try {
    const database = new Database(file, {
      timeout: BUSY_MS,
      ...(nativeBinding === undefined ? {} : { nativeBinding }),
    });
    database.pragma("journal_mode = WAL");
    // FULL: a commit that was acknowledged is there after a power cut. Commits share transactions to pay for it.
    database.pragma("synchronous = FULL");
    database.pragma("foreign_keys = ON");
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database }) });
    await migrate(db);
    return new KyselyStore(db, errors);
  } catch (error) {
    throw errors.translate(error);
  }
}

function sqliteErrors(file: string): DatabaseErrors {
  return {
    isUniqueViolation: error =>
      hasCode(error, code => code === "SQLITE_CONSTRAINT_UNIQUE" || code === "SQLITE_CONSTRAINT_PRIMARYKEY"),
    translate(error) {
      if (hasCode(error, code => code === "SQLITE_FULL")) {
        return new DrpError("storage.full", `no room left to write ${file}`, {
          advice: "Free space on that file system; nothing that was acknowledged is lost.",
          cause: error,
        });
      }
      if (hasCode(error, code => UNUSABLE.test(code))) {
        return new DrpError("data.unwritable", `cannot use the database ${file}`, {
          advice:
            "Check the file's owner and mode and that the file system is mounted read-write; if it is damaged, restore the data folder from a backup.",
          cause: error,
        });
      }
      return error;
    },
  };
}

const UNUSABLE = /^SQLITE_(CANTOPEN|READONLY|IOERR|NOTADB|CORRUPT|PERM|AUTH)/;

function hasCode(error: unknown, matches: (code: string) => boolean): boolean {
  return error instanceof Database.SqliteError && matches(error.code);
}
