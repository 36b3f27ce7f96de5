/**
 * Opens what an image is built from, whatever it is, told by looking at it and never by its name: a directory, a tar, a raw
 * ext4 file system or disk, a qcow2, a container image; each file also compressed with gzip, xz or zstd.
 */
import { constants, createReadStream, createWriteStream, type Stats } from "node:fs";
import { access, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Architecture } from "../../core/architecture.ts";
import { DrpError } from "../../core/errors.ts";
import { ByteReader } from "../byte-reader.ts";
import { isZeroChunk } from "../chunker.ts";
import { FileTree } from "../file-tree.ts";
import { FORMAT_HEAD_BYTES, type ImageFormat, recognizeImageFormat } from "../image-format.ts";
import { CHUNK_BYTES } from "../manifest.ts";
import { OCI_SCHEME } from "../oci-reference.ts";
import { type RawRange, rawBytes } from "../raw-range.ts";
import { ContentSpool } from "./content-spool.ts";
import { decompressing } from "./decompress.ts";
import { readDirectoryAsTar } from "./directory-source.ts";
import { layOciImage, type OciRequest } from "./oci-source.ts";
import { openQcow2 } from "./qcow2.ts";
import { layTar } from "./tar-source.ts";

/** The file that marks an OCI layout (image-layout.md). */
const OCI_LAYOUT = "oci-layout";
const READ_BYTES = 1024 * 1024;

export type RawFormat = Extract<ImageFormat, { kind: "ext4" | "disk" }>;

export type OpenedSource =
  /** A root file system, from which an ext4 is made. */
  | { readonly kind: "tree"; readonly tree: FileTree }
  /** An image that is taken as it is. */
  | {
      readonly kind: "raw";
      readonly format: RawFormat;
      /** Undefined until all of a compressed one is read. */
      readonly sizeBytes: number | undefined;
      readonly ranges: AsyncIterable<RawRange>;
    };

/** How a registry of container images is asked. */
export type RegistryAccess = Pick<OciRequest, "plainHttp" | "authFile">;

export interface SourceReading {
  /** Where contents may be kept for as long as the source is used; whoever made it removes it. */
  readonly workFolder: string;
  /** Closes files that stay open while the source is used. */
  readonly resources: AsyncDisposableStack;
  /** Which of a container image's variants is taken. */
  readonly architecture: Architecture;
  readonly registry: RegistryAccess;
  /** Ends the reading at its next piece of data. */
  readonly signal: AbortSignal | undefined;
  /** In bytes of the file as it lies there; never called for directories and container images. */
  readonly onRead: (doneBytes: number, totalBytes: number) => void;
}

/**
 * @param path or a container image in a registry: "oci://HOST/NAME:TAG"
 * @throws {DrpError} input.unreadable: not there, damaged, or nothing that an image can be built from; what layOciImage() throws
 */
export async function openSource(path: string, reading: SourceReading): Promise<OpenedSource> {
  if (path.startsWith(OCI_SCHEME)) return await openContainerImage(path, reading);
  const stats = await statSource(path);
  if (stats.isDirectory()) {
    if (await isThere(join(path, OCI_LAYOUT))) return await openContainerImage(path, reading);
    return await openTar(readDirectoryAsTar(path), path, reading);
  }
  if (!stats.isFile()) {
    throw new DrpError("input.unreadable", `${path} is neither a file nor a directory`, {
      advice: "Give an image, an archive or the directory of a root file system.",
    });
  }
  const given = await peek(readFile(path, stats.size, reading), reading);
  if (given.format.kind !== "compressed") return await openPlain(path, path, given, stats.size, reading);

  const { compression } = given.format;
  const inner = await peek(decompressing(given.bytes, compression, path), reading);
  if (inner.format.kind === "compressed") {
    throw new DrpError("input.unreadable", `${path} is ${inner.format.compression} within ${compression}`, {
      advice: "Decompress it once.",
    });
  }
  if (inner.format.kind !== "qcow2") return await openPlain(path, path, inner, undefined, reading);
  // Its tables may stand anywhere in it.
  const unpacked = join(reading.workFolder, "unpacked.qcow2");
  await pipeline(inner.bytes, createWriteStream(unpacked, { flags: "wx", mode: 0o600 }));
  return await openPlain(unpacked, path, inner, undefined, reading);
}

/** @param path where a qcow2 lies; `name` is what the person gave */
async function openPlain(
  path: string,
  name: string,
  { format, bytes }: Peeked,
  sizeBytes: number | undefined,
  reading: SourceReading,
): Promise<OpenedSource> {
  switch (format.kind) {
    case "tar":
      return await openTar(bytes, name, reading);
    case "qcow2": {
      const image = reading.resources.use(await openQcow2(path));
      const { format: inside } = await peek(rawBytes(image.ranges()), reading);
      if (inside.kind !== "ext4" && inside.kind !== "disk") throw notAnImage(`the disk in ${name}`, inside);
      return { kind: "raw", format: inside, sizeBytes: image.sizeBytes, ranges: image.ranges() };
    }
    case "ext4":
    case "disk":
      return { kind: "raw", format, sizeBytes, ranges: asRanges(bytes) };
    default:
      throw notAnImage(name, format);
  }
}

async function openTar(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  reading: SourceReading,
): Promise<OpenedSource> {
  const spool = reading.resources.use(
    await ContentSpool.create(join(reading.workFolder, "contents"), reading.signal),
  );
  const tree = new FileTree();
  await layTar(tree, bytes, spool);
  // Only at its end does a tar show that it is one of a container image, whose marks may be its last entries.
  const isContainerImage = tree.find(OCI_LAYOUT)?.kind === "file" || isDockerArchive(tree);
  if (!isContainerImage) return { kind: "tree", tree };
  // While it is open, its room is not given back.
  await spool[Symbol.asyncDispose]();
  await rm(spool.path);
  return await openContainerImage(path, reading);
}

/** What `docker save` writes; older ones without an OCI layout. */
function isDockerArchive(tree: FileTree): boolean {
  return tree.find("manifest.json")?.kind === "file" && tree.find("etc") === undefined;
}

async function openContainerImage(source: string, reading: SourceReading): Promise<OpenedSource> {
  const { workFolder, resources, architecture, registry, signal } = reading;
  const spool = resources.use(await ContentSpool.create(join(workFolder, "layers"), signal));
  const tree = new FileTree();
  await layOciImage({ source, architecture, signal, ...registry }, tree, spool);
  return { kind: "tree", tree };
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

interface Peeked {
  readonly format: ImageFormat;
  /** All of them, with those that were looked at. */
  readonly bytes: AsyncIterable<Buffer>;
}

async function peek(source: AsyncIterable<Uint8Array>, { resources }: SourceReading): Promise<Peeked> {
  const reader = new ByteReader(source);
  resources.defer(() => reader.close());
  const head = Buffer.from(await reader.take(FORMAT_HEAD_BYTES));
  return { format: recognizeImageFormat(head), bytes: followed(head, reader) };
}

async function* followed(head: Buffer, reader: ByteReader): AsyncGenerator<Buffer, void, void> {
  yield head;
  yield* reader.pieces(Number.POSITIVE_INFINITY);
}

/** Large stretches of zeros, which the holes of a sparse file read as, are not carried on as bytes. */
async function* asRanges(bytes: AsyncIterable<Buffer>): AsyncGenerator<RawRange, void, void> {
  for await (const piece of bytes) {
    const isZeros = piece.length <= CHUNK_BYTES && isZeroChunk(piece);
    yield isZeros ? { kind: "zeros", lengthBytes: piece.length } : { kind: "data", bytes: piece };
  }
}

async function* readFile(
  path: string,
  totalBytes: number,
  { onRead }: SourceReading,
): AsyncGenerator<Buffer, void, void> {
  let doneBytes = 0;
  for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES })) {
    doneBytes += piece.length;
    onRead(doneBytes, totalBytes);
    yield piece;
  }
}

async function statSource(path: string): Promise<Stats> {
  try {
    await access(path, constants.R_OK);
    return await stat(path);
  } catch (cause) {
    throw new DrpError("input.unreadable", `cannot read ${path}`, { advice: "Check the path.", cause });
  }
}

function notAnImage(name: string, format: ImageFormat): DrpError {
  return new DrpError(
    "input.unreadable",
    `no image can be built from ${name}: it is ${format.kind === "ext4" ? "ext4" : format.name}`,
    {
      advice:
        "Give the directory or tar of a root file system, an OCI image, a raw ext4 file system, or a disk with a partition table, raw or qcow2.",
    },
  );
}
