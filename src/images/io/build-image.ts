/** Makes a signed bundle from a root file system: `drp images build`. */
import { createReadStream, createWriteStream, constants as fsConstants } from "node:fs";
import { access, lstat, open, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Architecture } from "../../core/architecture.ts";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { canonicalText } from "../canonical.ts";
import { countDataBytes, isZeroChunk, splitChunks } from "../chunker.ts";
import { chunkDigest, imageDigest } from "../digest.ts";
import { FORMAT_HEAD_BYTES, recognizeImageFormat } from "../image-format.ts";
import { parseSigningKey } from "../keys.ts";
import {
  CHUNK_BYTES,
  type ChunkDigest,
  type HealthCheck,
  type ImageDigest,
  MAX_CHUNKS,
  type Manifest,
  manifestSchema,
  type Payload,
} from "../manifest.ts";
import { describeSchemaIssue } from "../schema-issue.ts";
import { signManifest } from "../signature.ts";
import { writeBundle } from "./bundle-writer.ts";
import { encodeChunk } from "./chunk-codec.ts";
import { unfinishedPath } from "./durable-files.ts";
import { makeExt4 } from "./make-ext4.ts";
import { mapInOrder } from "./task-window.ts";

export type ImageSource =
  /** A directory that holds the whole system, with its kernel and ramdisk as /boot/vmlinuz and /boot/initrd.img. */
  | { readonly rootfsDir: string }
  /** A raw ext4 file system, taken as it is. */
  | { readonly imageFile: string };

export interface BuildProgress {
  readonly phase: "file-system" | "compressing" | "packing";
  /** Of the raw image while compressing, of the bundle while packing; 0 of 0 while the file system is made. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface BuildRequest {
  readonly source: ImageSource;
  readonly name: string;
  readonly version: string;
  readonly architecture: Architecture;
  readonly kernelArguments: readonly string[];
  readonly healthChecks: readonly HealthCheck[];
  /** By default createdAt in seconds, which counts up by itself. */
  readonly release?: number;
  /** 0 by default: it may replace any release. */
  readonly minimumRelease?: number;
  readonly privateKeyPem: string;
  /** Path of the bundle; an existing file is replaced once the new one is whole. */
  readonly out: string;
  /** Of the file system, a multiple of 4096; by default what the content needs and a margin. */
  readonly sizeBytes?: number;
  /** Goes into the manifest and into the file system's own times. */
  readonly createdAt: EpochMs;
  readonly onProgress?: (progress: BuildProgress) => void;
}

export interface BuiltImage {
  readonly digest: ImageDigest;
  readonly keyId: string;
  /** Of the raw image. */
  readonly sizeBytes: number;
  /** Of the raw image without its zero chunks. */
  readonly dataBytes: number;
  readonly bundleBytes: number;
}

/** Compressed side by side; 2 MiB of memory each. */
const CHUNKS_AT_ONCE = 8;

/**
 * The same source, name, version and createdAt give the same digest. Needs room beside `out` for the file system and twice
 * its compressed form.
 *
 * @throws {DrpError} input.unreadable, request.invalid, key.invalid, tool.missing, storage.full, data.unwritable
 */
export async function buildImage(request: BuildRequest): Promise<BuiltImage> {
  const { keyId } = parseSigningKey(request.privateKeyPem);
  const description = describeImage(request);
  const payloadPath = unfinishedPath(request.out);
  try {
    await access(dirname(request.out), fsConstants.W_OK);
    const payload = await withRawImage(request, rawPath => compressPayload(rawPath, payloadPath, request));
    const manifestText = canonicalText({ ...description, payloads: [payload] } satisfies Manifest);
    const signed = { manifestText, signature: signManifest(manifestText, request.privateKeyPem) };
    await writeBundle(
      {
        signed,
        payload: { entry: `${payload.name}.zst`, path: payloadPath },
        attachments: [],
        createdAt: request.createdAt,
      },
      request.out,
      (doneBytes, totalBytes) => request.onProgress?.({ phase: "packing", doneBytes, totalBytes }),
    );
    return {
      digest: imageDigest(manifestText),
      keyId,
      sizeBytes: payload.sizeBytes,
      dataBytes: countDataBytes(payload),
      bundleBytes: (await stat(request.out)).size,
    };
  } catch (error) {
    throw explainOutput(error, request.out);
  } finally {
    await rm(payloadPath, { force: true });
  }
}

/** What of the manifest is known before the payload. */
function describeImage(request: BuildRequest): Omit<Manifest, "payloads"> {
  const parsed = manifestSchema.omit({ payloads: true }).safeParse({
    formatVersion: 1,
    name: request.name,
    version: request.version,
    architecture: request.architecture,
    createdAt: new Date(request.createdAt).toISOString(),
    release: request.release ?? Math.max(1, Math.floor(request.createdAt / 1000)),
    minimumRelease: request.minimumRelease ?? 0,
    attachments: [],
    kernelArguments: request.kernelArguments,
    healthChecks: request.healthChecks,
  });
  if (parsed.success) return parsed.data;
  throw new DrpError("request.invalid", `the image's ${describeSchemaIssue(parsed.error)}`);
}

/** Hands over a raw ext4 file: the given one, or one that is made from the directory and removed afterwards. */
async function withRawImage<T>(request: BuildRequest, use: (rawPath: string) => Promise<T>): Promise<T> {
  const { source } = request;
  if ("imageFile" in source) {
    await requireBootableExt4(source.imageFile);
    return await use(source.imageFile);
  }
  await requireBootFiles(source.rootfsDir);
  const rawPath = unfinishedPath(request.out);
  request.onProgress?.({ phase: "file-system", doneBytes: 0, totalBytes: 0 });
  try {
    await makeExt4({
      rootfsDir: source.rootfsDir,
      out: rawPath,
      sizeBytes: request.sizeBytes,
      identity: `${request.name}:${request.version}`,
      createdAt: request.createdAt,
    });
    return await use(rawPath);
  } finally {
    await rm(rawPath, { force: true });
  }
}

/**
 * One pass: cut, hash, compress with every core. Each chunk becomes a zstd frame of its own (a file of many frames is a zstd
 * file): zstd's own workers cannot be used, node:zlib ends the stream early with them (seen with Node 24.21).
 */
async function compressPayload(
  rawPath: string,
  payloadPath: string,
  request: BuildRequest,
): Promise<Payload> {
  const totalBytes = (await stat(rawPath)).size;
  const chunks: (ChunkDigest | null)[] = [];
  let doneBytes = 0;
  const hashAndCompress = (chunk: Buffer): Promise<Buffer> => {
    chunks.push(isZeroChunk(chunk) ? null : chunkDigest(chunk));
    doneBytes += chunk.length;
    request.onProgress?.({ phase: "compressing", doneBytes, totalBytes });
    return encodeChunk(chunk);
  };
  await pipeline(
    createReadStream(rawPath, { highWaterMark: CHUNK_BYTES }),
    splitChunks,
    chunks => mapInOrder(chunks, CHUNKS_AT_ONCE, hashAndCompress),
    createWriteStream(payloadPath, { flags: "wx" }),
  );
  return { name: "rootfs.img", sizeBytes: doneBytes, chunkBytes: CHUNK_BYTES, chunks };
}

async function requireBootFiles(rootfsDir: string): Promise<void> {
  await requireReadable(rootfsDir);
  for (const name of ["boot/vmlinuz", "boot/initrd.img"]) {
    try {
      await lstat(join(rootfsDir, name));
    } catch (cause) {
      throw new DrpError("input.unreadable", `${rootfsDir} has no ${name}, which the loader would start`, {
        advice: `Put the kernel and its ramdisk at boot/vmlinuz and boot/initrd.img, as files or links.`,
        cause,
      });
    }
  }
}

async function requireBootableExt4(path: string): Promise<void> {
  await requireReadable(path);
  await using file = await open(path);
  const { size } = await file.stat();
  const head = Buffer.alloc(Math.min(FORMAT_HEAD_BYTES, size));
  await file.read(head, 0, head.length, 0);
  const format = recognizeImageFormat(head);
  const refuse = (what: string, advice: string): DrpError =>
    new DrpError("input.unreadable", `${path} ${what}`, { advice });
  if (format.kind !== "ext4") {
    throw refuse(
      `is ${format.name}, not a raw ext4 file system`,
      "Give the raw file system of the root partition, or the directory to make one from.",
    );
  }
  if (format.obstacles.length > 0) {
    throw refuse(
      `has what GRUB or a read-only slot cannot deal with: ${format.obstacles.join(", ")}`,
      "Unmount it, run e2fsck, and take the feature away with tune2fs -O ^FEATURE; or build from the directory.",
    );
  }
  if (size < format.sizeBytes) {
    throw refuse(
      `is cut short: ${formatBytes(size)} of a file system of ${formatBytes(format.sizeBytes)}`,
      "Copy it again.",
    );
  }
  if (size % 4096 !== 0 || size > MAX_CHUNKS * CHUNK_BYTES) {
    throw refuse(
      `has ${size} bytes; a multiple of 4096, at most ${formatBytes(MAX_CHUNKS * CHUNK_BYTES)}, is needed`,
      "Pad it with `truncate --size=%4096`, or shrink the file system with resize2fs.",
    );
  }
}

async function requireReadable(path: string): Promise<void> {
  try {
    await access(path);
  } catch (cause) {
    throw new DrpError("input.unreadable", `cannot read ${path}`, { advice: "Check the path.", cause });
  }
}

/** errno becomes ours; a DrpError from further down has said it better already. */
function explainOutput(error: unknown, out: string): unknown {
  if (error instanceof DrpError) return error;
  const errno = (error as NodeJS.ErrnoException).code;
  if (errno === "ENOSPC" || errno === "EDQUOT") {
    return new DrpError("storage.full", `no room to write ${out}`, {
      advice: "Free some space there, or write the bundle to another disk.",
      cause: error,
    });
  }
  if (errno === "ENOENT" || errno === "EACCES" || errno === "EROFS" || errno === "ENOTDIR") {
    return new DrpError("data.unwritable", `cannot write ${out}`, {
      advice: "Check that its folder is there and may be written.",
      cause: error,
    });
  }
  return error;
}
