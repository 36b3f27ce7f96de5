/** Takes an OCI archive or a `docker save` apart into files of ours: its blobs stand in any order, and are read in another. */
import { open } from "node:fs/promises";
import { join, posix } from "node:path";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import { entryError } from "../archive-entry.ts";
import { CHUNK_BYTES, MAX_CHUNKS } from "../manifest.ts";
import { readTar, type TarEntry } from "../tar-reader.ts";
import type { OciFiles } from "./oci-layout.ts";

/** 500 layers with what belongs to each. */
const MAX_FILES = 10_000;
const MAX_BYTES = MAX_CHUNKS * CHUNK_BYTES;
/** A layer that stands twice in an old `docker save` is a link to its first place. */
const MAX_LINKS_FOLLOWED = 8;

/**
 * @param source the plain tar, decompressed
 * @param name for errors
 * @param workDir takes the files, under names of ours; whoever owns it removes it
 * @throws {DrpError} input.unreadable with the entry's name and offset
 */
export async function unpackOciArchive(
  source: AsyncIterable<Uint8Array>,
  name: string,
  workDir: string,
): Promise<OciFiles> {
  const paths = new Map<string, string>();
  const links = new Map<string, string>();
  let totalBytes = 0;
  for await (const entry of readTar(source)) {
    const key = posix.normalize(entry.name);
    if (paths.size + links.size >= MAX_FILES) throw entryError(entry, `comes after ${MAX_FILES} others`);
    if (entry.body.kind === "symlink") links.set(key, posix.join(posix.dirname(key), entry.body.target));
    if (entry.body.kind === "hard-link") links.set(key, posix.normalize(entry.body.target));
    if (entry.body.kind !== "file") continue;
    if (paths.has(key)) throw entryError(entry, "is there twice");
    totalBytes += entry.body.sizeBytes;
    if (totalBytes > MAX_BYTES)
      throw entryError(entry, `brings the archive to over ${formatBytes(MAX_BYTES)}`);
    const path = join(workDir, `oci-${paths.size}`);
    await writeEntry(entry, path);
    paths.set(key, path);
  }
  if (paths.size === 0) {
    throw new DrpError("input.unreadable", `${name} is an empty archive`, { advice: "Make it again." });
  }
  return { name, path: async wanted => paths.get(resolveLinks(posix.normalize(wanted), links)) };
}

async function writeEntry(entry: TarEntry, path: string): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  let doneBytes = 0;
  for await (const piece of entry.content) {
    doneBytes += piece.length;
    await file.writeFile(piece);
  }
  if (entry.body.kind === "file" && doneBytes !== entry.body.sizeBytes) {
    throw entryError(entry, "is sparse, which no file of an image is");
  }
}

function resolveLinks(name: string, links: ReadonlyMap<string, string>): string {
  let resolved = name;
  for (let followed = 0; followed < MAX_LINKS_FOLLOWED; followed++) {
    const target = links.get(resolved);
    if (target === undefined) break;
    resolved = target;
  }
  return resolved;
}
