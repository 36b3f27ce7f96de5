/** Makes a signed bundle from a root file system or an image: `drp images build`. */
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Architecture } from "../../core/architecture.ts";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { requireBootFilesOfTree, requireBootFilesOfVolume } from "../boot-files.ts";
import { canonicalText } from "../canonical.ts";
import { countDataBytes } from "../chunker.ts";
import { ImageBytes } from "../diff/image-bytes.ts";
import { imageDigest } from "../digest.ts";
import { planExt4 } from "../ext4-writer/plan-ext4.ts";
import { parseSigningKey } from "../keys.ts";
import {
  type Attachment,
  CHUNK_BYTES,
  type HealthCheck,
  type ImageDigest,
  MAX_CHUNKS,
  type Manifest,
  manifestSchema,
  type Payload,
} from "../manifest.ts";
import type { RawRange } from "../raw-range.ts";
import { describeSchemaIssue } from "../schema-issue.ts";
import { signManifest } from "../signature.ts";
import { type AttachedFile, describeAttachments } from "./attached-files.ts";
import { writeBundle } from "./bundle-writer.ts";
import { compressPayload } from "./compress-payload.ts";
import { removeAbandoned, unfinishedPath } from "./durable-files.ts";
import { openSource, type RawFormat, type RegistryAccess } from "./open-source.ts";
import { readExt4Plan } from "./read-ext4-plan.ts";

export interface BuildProgress {
  readonly phase: "reading" | "compressing" | "packing";
  /** Of the source, of the raw image, of the bundle; a total of 0 is not known. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface BuildRequest {
  /** What openSource() recognises: a path, or a container image in a registry. */
  readonly from: string;
  readonly registry?: RegistryAccess;
  readonly name: string;
  readonly version: string;
  readonly architecture: Architecture;
  readonly kernelArguments: readonly string[];
  readonly healthChecks: readonly HealthCheck[];
  /** By default createdAt in seconds, which counts up by itself. */
  readonly release?: number;
  /** 0 by default: it may replace any release. */
  readonly minimumRelease?: number;
  /** Files that travel with the image: `sbom.json`, `hooks/NAME`. */
  readonly attachments?: readonly AttachedFile[];
  readonly privateKeyPem: string;
  /** Path of the bundle; an existing file is replaced once the new one is whole. */
  readonly out: string;
  /** Of the file system that is made from a root file system, a multiple of 4096; by default what the content needs. */
  readonly sizeBytes?: number;
  /** Goes into the manifest and into the file system's own times. */
  readonly createdAt: EpochMs;
  readonly onProgress?: (progress: BuildProgress) => void;
  /** Ends the build at its next piece of data; what it had written is removed. */
  readonly signal?: AbortSignal;
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

/**
 * The same source, name, version, release and createdAt give the same digest. Needs room beside `out` for twice the compressed
 * image, and for the files of a directory or an archive.
 *
 * @throws {DrpError} input.unreadable, request.invalid, key.invalid, tool.missing, storage.full, data.unwritable;
 *   the signal's reason
 */
export async function buildImage(request: BuildRequest): Promise<BuiltImage> {
  const { keyId } = parseSigningKey(request.privateKeyPem);
  const attachments = await describeAttachments(request.attachments ?? []);
  const description = describeImage(request, attachments);
  // A build that was killed leaves as much as an image takes.
  await removeAbandoned(request.out);
  const workFolder = unfinishedPath(request.out);
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(workFolder, { recursive: true, force: true }));
  try {
    await mkdir(workFolder, { mode: 0o700 });
    const payloadPath = join(workFolder, "payload");
    const payload = await makePayload(request, workFolder, payloadPath, resources);
    const manifestText = canonicalText({ ...description, payloads: [payload] } satisfies Manifest);
    const signed = { manifestText, signature: signManifest(manifestText, request.privateKeyPem) };
    await writeBundle(
      {
        signed,
        payload: { entry: `${payload.name}.zst`, path: payloadPath },
        attachments: (request.attachments ?? []).map(({ name, path }) => ({ entry: name, path })),
        createdAt: request.createdAt,
      },
      request.out,
      (doneBytes, totalBytes) => request.onProgress?.({ phase: "packing", doneBytes, totalBytes }),
      request.signal,
    );
    return {
      digest: imageDigest(manifestText),
      keyId,
      sizeBytes: payload.sizeBytes,
      dataBytes: countDataBytes(payload),
      bundleBytes: (await stat(request.out)).size,
    };
  } catch (error) {
    request.signal?.throwIfAborted();
    throw explainOutput(error, request.out);
  }
}

/** What of the manifest is known before the payload. */
function describeImage(
  request: BuildRequest,
  attachments: readonly Attachment[],
): Omit<Manifest, "payloads"> {
  const parsed = manifestSchema.omit({ payloads: true }).safeParse({
    formatVersion: 1,
    name: request.name,
    version: request.version,
    architecture: request.architecture,
    createdAt: new Date(request.createdAt).toISOString(),
    release: request.release ?? Math.max(1, Math.floor(request.createdAt / 1000)),
    minimumRelease: request.minimumRelease ?? 0,
    attachments,
    kernelArguments: request.kernelArguments,
    healthChecks: request.healthChecks,
  });
  if (parsed.success) return parsed.data;
  throw new DrpError("request.invalid", `the image's ${describeSchemaIssue(parsed.error)}`);
}

/** @param out where the compressed payload goes */
async function makePayload(
  request: BuildRequest,
  workFolder: string,
  out: string,
  resources: AsyncDisposableStack,
): Promise<Payload> {
  const { from, signal } = request;
  const onProgress = (progress: BuildProgress) => {
    signal?.throwIfAborted();
    request.onProgress?.(progress);
  };
  const source = await openSource(from, {
    workFolder,
    resources,
    architecture: request.architecture,
    registry: request.registry ?? {},
    signal,
    onRead: (doneBytes, totalBytes) => onProgress({ phase: "reading", doneBytes, totalBytes }),
  });
  const compress = async (name: Payload["name"], ranges: AsyncIterable<RawRange>, totalBytes = 0) =>
    resources.use(
      await compressPayload(name, ranges, out, doneBytes =>
        onProgress({ phase: "compressing", doneBytes, totalBytes }),
      ),
    );
  if (source.kind === "tree") {
    requireBootFilesOfTree(source.tree, from);
    const { createdAt, sizeBytes, name, version } = request;
    const plan = planExt4(source.tree.root, { identity: `${name}:${version}`, createdAt, sizeBytes });
    return (await compress("rootfs.img", readExt4Plan(plan), plan.sizeBytes)).payload;
  }
  if (request.sizeBytes !== undefined) {
    throw new DrpError("request.invalid", `${from} is an image, which keeps its size`, {
      advice: "Leave --size out, or build from the directory or the tar of its files.",
    });
  }
  requireSoundRaw(source.format, from, source.sizeBytes);
  const name = source.format.kind === "disk" ? "disk.img" : "rootfs.img";
  const compressed = await compress(name, source.ranges, source.sizeBytes);
  const { payload } = compressed;
  requireSoundRaw(source.format, from, payload.sizeBytes);
  if (source.format.kind === "ext4") {
    const bytes = new ImageBytes(compressed, () => Promise.resolve());
    await requireBootFilesOfVolume(bytes.read, payload.sizeBytes, from);
  }
  return payload;
}

/** @param sizeBytes undefined while it is not known */
function requireSoundRaw(format: RawFormat, path: string, sizeBytes: number | undefined): void {
  const refuse = (what: string, advice: string): DrpError =>
    new DrpError("input.unreadable", `${path} ${what}`, { advice });
  if (format.kind === "ext4" && format.obstacles.length > 0) {
    throw refuse(
      `has what GRUB or a read-only slot cannot deal with: ${format.obstacles.join(", ")}`,
      "Unmount it, run e2fsck, and take the feature away with tune2fs -O ^FEATURE; or build from its files.",
    );
  }
  if (sizeBytes === undefined) return;
  if (format.kind === "ext4" && sizeBytes < format.sizeBytes) {
    throw refuse(
      `is cut short: ${formatBytes(sizeBytes)} of a file system of ${formatBytes(format.sizeBytes)}`,
      "Copy it again.",
    );
  }
  if (sizeBytes % 4096 !== 0 || sizeBytes > MAX_CHUNKS * CHUNK_BYTES) {
    throw refuse(
      `has ${sizeBytes} bytes; a multiple of 4096, at most ${formatBytes(MAX_CHUNKS * CHUNK_BYTES)}, is needed`,
      "Pad it with `truncate --size=%4096`, or shrink the file system with resize2fs.",
    );
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
