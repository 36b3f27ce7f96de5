/** What a hub can offer to whoever holds an older image and wants a newer one. */
import type { ImageDigest } from "./manifest.ts";

export type DeltaOffer =
  /** A whole file on the hub's disk, safe to send in ranges. */
  | { readonly kind: "delta"; readonly path: string; readonly sizeBytes: number; readonly sha256: string }
  /** For good: a whole image is smaller (squashfs), or one of both is not there. */
  | { readonly kind: "none"; readonly because: string }
  /** In work; ask again. */
  | { readonly kind: "computing"; readonly doneBytes: number; readonly totalBytes: number };

export interface DeltaSource {
  /**
   * Begins the work when nobody has asked before; never waits for its end.
   *
   * @param askedBy id of the site: none keeps the others waiting with many asks
   */
  offer(from: ImageDigest, to: ImageDigest, askedBy: string): Promise<DeltaOffer>;
  /** The file with this digest, as it was offered; undefined when it is not kept any more. Reads nothing. */
  findOffered(from: ImageDigest, to: ImageDigest, sha256: string): string | undefined;
}
