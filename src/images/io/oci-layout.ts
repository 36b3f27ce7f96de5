/** An OCI image layout, or what `docker save` writes, as a folder or as a tar: the same files, found by their names. */
import { createReadStream } from "node:fs";
import { lstat, open, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { DrpError } from "../../core/errors.ts";
import { parseArchivePath } from "../archive-entry.ts";
import { MAX_DOCUMENT_BYTES, type OciLayer, parseDiffIds, parseDockerArchive } from "../oci-documents.ts";
import { isOciDigest, type OciDigest } from "../oci-reference.ts";
import type { OciBlobs } from "./oci-blobs.ts";

/** Files of a layout by their names in it: "index.json", "blobs/sha256/…". */
export interface OciFiles {
  readonly name: string;
  /** @returns a plain file of this host; undefined when there is none */
  path(name: string): Promise<string | undefined>;
}

/** @param dir a folder that was made by others: only plain files in it are read, whatever its names and links say */
export function filesOfFolder(dir: string): OciFiles {
  return {
    name: dir,
    path: async name => {
      if ("problem" in parseArchivePath(name)) return undefined;
      const path = await realpath(join(dir, name)).catch(() => undefined);
      if (path?.startsWith(join(await realpath(dir), "/")) !== true) return undefined;
      return (await lstat(path)).isFile() ? path : undefined;
    },
  };
}

export function blobsOfFiles(files: OciFiles): OciBlobs {
  return {
    name: files.name,
    async *read(digest) {
      const path = await requireFile(files, `blobs/sha256/${digest.slice("sha256:".length)}`);
      yield* createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
    },
  };
}

/** @throws {DrpError} input.unreadable when it is missing or too long */
export async function readSmallFile(files: OciFiles, name: string): Promise<string> {
  const path = await requireFile(files, name);
  await using file = await open(path);
  const { size } = await file.stat();
  if (size > MAX_DOCUMENT_BYTES) {
    throw new DrpError("input.unreadable", `${name} of ${files.name} has ${size} bytes`, {
      advice: `Documents of an image have at most ${MAX_DOCUMENT_BYTES} bytes.`,
    });
  }
  return await file.readFile("utf8");
}

/**
 * What `docker save` of Docker before 25 wrote: no digest names its files, but its configuration does.
 *
 * @returns blobs that are found by the digest of the plain layer
 * @throws {DrpError} input.unreadable
 */
export async function openDockerArchive(
  files: OciFiles,
): Promise<{ configText: string; layers: readonly OciLayer[]; blobs: OciBlobs }> {
  const archive = parseDockerArchive(await readSmallFile(files, "manifest.json"));
  const configText = await readSmallFile(files, archive.config);
  const digests = parseDiffIds(configText, archive.config);
  if (digests.length !== archive.layers.length) {
    throw new DrpError(
      "input.unreadable",
      `${files.name} lists ${archive.layers.length} layers, its configuration ${digests.length}`,
      { advice: "Save the image again." },
    );
  }
  const paths = new Map<OciDigest, string>();
  const layers: OciLayer[] = [];
  for (const [index, name] of archive.layers.entries()) {
    const digest = digests[index];
    if (digest === undefined || !isOciDigest(digest)) continue;
    const path = await requireFile(files, name);
    paths.set(digest, path);
    layers.push({ digest, sizeBytes: (await stat(path)).size, compression: null });
  }
  const blobs: OciBlobs = {
    name: files.name,
    async *read(digest) {
      yield* createReadStream(paths.get(digest) ?? "", {
        highWaterMark: 1024 * 1024,
      }) as AsyncIterable<Buffer>;
    },
  };
  return { configText, layers, blobs };
}

async function requireFile(files: OciFiles, name: string): Promise<string> {
  const path = await files.path(name);
  if (path !== undefined) return path;
  throw new DrpError("input.unreadable", `${files.name} has no ${JSON.stringify(name.slice(0, 300))}`, {
    advice: "Copy the image again: a part of it is missing.",
  });
}
