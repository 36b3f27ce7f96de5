/**
 * Files that ship inside the single executable: the dashboard's pages and SQLite's native binding. Run from source, the
 * same files lie in dist/ and node_modules/.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve, sep } from "node:path";
import { getRawAsset, isSea } from "node:sea";

export const SQLITE_BINDING_ASSET = "better-sqlite3.node";
const DASHBOARD_PREFIX = "dashboard/";

/** @param path within the dashboard, for example "index.html"; undefined when there is no such file */
export function readDashboardFile(path: string): Buffer | undefined {
  if (isSea()) return readEmbedded(DASHBOARD_PREFIX + path);
  const folder = resolve("dist/dashboard");
  const file = resolve(folder, path);
  if (!file.startsWith(folder + sep)) return undefined;
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file) : undefined;
}

/**
 * A native addon can only be loaded from a file: in the executable it is written once to a folder that only this user can
 * write to, under the name of its content. Undefined when run from source: better-sqlite3 finds its own.
 */
export function sqliteBindingFile(): string | undefined {
  if (!isSea()) return undefined;
  const addon = readEmbedded(SQLITE_BINDING_ASSET);
  if (addon === undefined) return undefined;
  const { uid } = userInfo();
  const folder = join(tmpdir(), `drp-native-${uid}`);
  mkdirSync(folder, { mode: 0o700, recursive: true });
  const owner = statSync(folder);
  if (owner.uid !== uid || (owner.mode & 0o077) !== 0) {
    throw new Error(`${folder} belongs to somebody else or can be written by others`);
  }
  const file = join(folder, `${createHash("sha256").update(addon).digest("hex")}.node`);
  if (statSync(file, { throwIfNoEntry: false })?.size !== addon.length) {
    const partial = `${file}.${process.pid}`;
    writeFileSync(partial, addon, { mode: 0o600 });
    renameSync(partial, file);
  }
  return file;
}

function readEmbedded(key: string): Buffer | undefined {
  try {
    return Buffer.from(getRawAsset(key));
  } catch {
    return undefined; // node:sea throws for a key that it does not have
  }
}
