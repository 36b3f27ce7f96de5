/** How images and chunks are named: by the SHA-256 of what they are. */
import { hash } from "node:crypto";
import type { ChunkDigest, ImageDigest } from "./manifest.ts";

/** @param manifestText canonical, exactly as it was signed */
export function imageDigest(manifestText: string): ImageDigest {
  return `sha256:${hash("sha256", manifestText)}`;
}

/** @param bytes plain, not compressed */
export function chunkDigest(bytes: Uint8Array): ChunkDigest {
  return hash("sha256", bytes);
}
