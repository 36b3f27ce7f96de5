/** Puts a bundle together: a tar of manifest.json, manifest.sig and one payload, in the order in which it is read. */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import type { EpochMs } from "../../core/time.ts";
import type { SignedManifest } from "../signature.ts";
import { syncDirectory, unfinishedPath } from "./durable-files.ts";

export interface BundleContent {
  readonly signed: SignedManifest;
  /** A payload's name in the manifest, with ".zst" when the file is compressed. */
  readonly payloadEntry: string;
  readonly payloadPath: string;
  /** The entries' time. */
  readonly createdAt: EpochMs;
}

/** @param out replaced at once when the bundle is whole and safe on disk */
export async function writeBundle(
  { signed, payloadEntry, payloadPath, createdAt }: BundleContent,
  out: string,
  onProgress?: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
  const totalBytes = (await stat(payloadPath)).size;
  const pack = tar.pack();
  const common = { mode: 0o644, mtime: new Date(createdAt) };
  pack.entry({ ...common, name: "manifest.json" }, signed.manifestText);
  pack.entry({ ...common, name: "manifest.sig" }, JSON.stringify(signed.signature));
  const payload = pack.entry({ ...common, name: payloadEntry, size: totalBytes }, error => {
    if (error) pack.destroy(error);
    else pack.finalize();
  });
  let doneBytes = 0;
  createReadStream(payloadPath, { highWaterMark: 1024 * 1024 })
    .on("error", error => pack.destroy(error))
    .on("data", bytes => {
      doneBytes += bytes.length;
      onProgress?.(doneBytes, totalBytes);
    })
    .pipe(payload);
  const aside = unfinishedPath(out);
  try {
    await pipeline(pack, createWriteStream(aside, { flags: "wx", flush: true }));
    await rename(aside, out);
    await syncDirectory(dirname(out));
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
