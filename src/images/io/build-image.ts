/** Makes a signed bundle from a root file system: `drp images build`. */
import type { Architecture } from "../../core/architecture.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import type { HealthCheck, ImageDigest } from "../manifest.ts";

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

/**
 * The same source, name, version and createdAt give the same digest.
 *
 * @throws {DrpError} input.unreadable, request.invalid, key.invalid, tool.missing, storage.full, data.unwritable
 */
export function buildImage(_request: BuildRequest): Promise<BuiltImage> {
  return Promise.reject(new DrpError("internal", "not built yet"));
}
