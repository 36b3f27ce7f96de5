/** Puts a bundle together: a tar of manifest.json, manifest.sig, the payload and the attachments, in the order in which it is read. */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import type { EpochMs } from "../../core/time.ts";
import type { SignedManifest } from "../signature.ts";
import { syncDirectory, unfinishedPath } from "./durable-files.ts";

/** A file that becomes an entry. */
export interface BundledFile {
  /** A part's name in the manifest, with ".zst" when the file is compressed. */
  readonly entry: string;
  readonly path: string;
}

export interface BundleContent {
  readonly signed: SignedManifest;
  readonly payload: BundledFile;
  /** In the manifest's order. */
  readonly attachments: readonly BundledFile[];
  /** The entries' time. */
  readonly createdAt: EpochMs;
}

const READ_BYTES = 1024 * 1024;

/**
 * @param out replaced at once when the bundle is whole and safe on disk
 * @param onProgress in bytes of the files
 * @param signal ends it; nothing is left then
 */
export async function writeBundle(
  content: BundleContent,
  out: string,
  onProgress?: (doneBytes: number, totalBytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const pack = tar.pack();
  const aside = unfinishedPath(out);
  try {
    const written = pipeline(pack, createWriteStream(aside, { flags: "wx", flush: true }));
    const filled = fill(pack, content, onProgress, signal).catch((error: Error) => {
      pack.destroy(error);
      throw error;
    });
    await Promise.all([filled, written]);
    await rename(aside, out);
    await syncDirectory(dirname(out));
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

async function fill(
  pack: tar.Pack,
  { signed, payload, attachments, createdAt }: BundleContent,
  onProgress: ((doneBytes: number, totalBytes: number) => void) | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const common = { mode: 0o644, mtime: new Date(createdAt) };
  pack.entry({ ...common, name: "manifest.json" }, signed.manifestText);
  pack.entry({ ...common, name: "manifest.sig" }, JSON.stringify(signed.signature));
  const files = [payload, ...attachments];
  const sizes = await Promise.all(files.map(async ({ path }) => (await stat(path)).size));
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  let doneBytes = 0;
  for (const [index, { entry, path }] of files.entries()) {
    const source = createReadStream(path, { highWaterMark: READ_BYTES, signal });
    source.on("data", bytes => {
      doneBytes += bytes.length;
      onProgress?.(doneBytes, totalBytes);
    });
    await pipeline(source, pack.entry({ ...common, name: entry, size: sizes[index] ?? 0 }));
  }
  pack.finalize();
}
