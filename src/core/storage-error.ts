/** What people are told when the file system, or SQLite on it, refuses what must be kept. */
import { DrpError } from "./errors.ts";

const FULL = ["ENOSPC", "EDQUOT", "SQLITE_FULL"];

/** @param cause its `code` decides: errno or SQLite's */
export function storageError(path: string, cause: unknown): DrpError {
  const { code } = cause as { code?: string };
  const facts = { path };
  if (code !== undefined && FULL.includes(code)) {
    return new DrpError("storage.full", `no room left for ${path}`, {
      advice: "Free space on that file system, then start again.",
      facts,
      cause,
    });
  }
  return new DrpError("data.unwritable", `cannot use ${path}`, {
    advice:
      "Give this user the data folder (`chown`), check that its file system is mounted read-write, or choose another with --data.",
    facts,
    cause,
  });
}
