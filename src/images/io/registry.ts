/** Where the hub keeps images: each chunk once, a manifest visible only when every chunk of it is safe on disk. */
import type { Readable } from "node:stream";
import { DrpError } from "../../core/errors.ts";
import type { TrustedKey } from "../keys.ts";
import type { ChunkDigest, ImageDigest, Manifest } from "../manifest.ts";
import type { SignedManifest } from "../signature.ts";

export interface IngestProgress {
  /** Of the raw image, both. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface IngestedImage {
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
  /** True when the image was there before; nothing was written then. */
  readonly alreadyPresent: boolean;
  /** Of the raw image without its zero chunks. */
  readonly dataBytes: number;
  /** Which trusted key signed it. */
  readonly keyId: string;
}

export interface ImageRegistry {
  /**
   * Reads a bundle to its end. The stream is never destroyed here, so that an HTTP server can still answer: after an
   * error it is paused with its rest unread, and the caller closes or drains it.
   *
   * @throws {DrpError} bundle.truncated, bundle.malformed, bundle.tampered, signature.rejected, version.unsupported,
   *   storage.full; nothing of the bundle is visible then
   */
  ingestBundle(
    bundle: Readable,
    trustedKeys: readonly TrustedKey[],
    options?: { readonly onProgress?: (progress: IngestProgress) => void },
  ): Promise<IngestedImage>;
  manifest(digest: ImageDigest): Promise<SignedManifest | undefined>;
  /** Where a chunk's zstd frame is kept, whether or not it is there. */
  chunkPath(digest: ChunkDigest): string;
  /** @returns false when there is no such image */
  remove(digest: ImageDigest): Promise<boolean>;
}

/** @throws {DrpError} data.unwritable */
export function openRegistry(_dir: string): Promise<ImageRegistry> {
  return Promise.reject(new DrpError("internal", "not built yet"));
}
