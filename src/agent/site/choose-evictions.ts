/** Which images a site gives up when its disk is to hold others: those that it has needed last the longest ago. */
import type { EpochMs } from "../../core/time.ts";
import type { ChunkDigest, ImageDigest } from "../../images/manifest.ts";

export interface CachedImage {
  readonly digest: ImageDigest;
  /** Each once. */
  readonly chunks: readonly ChunkDigest[];
  /** When it was needed last. */
  readonly neededAt: EpochMs;
}

/**
 * @param images all that are kept; a chunk that another one needs is not freed
 * @param keep never given up, however little room there is
 * @param sizeOf of a chunk on disk, in bytes; 0 for one that is not there
 * @param freeBytes how many bytes to free at least
 * @returns in the order in which to give them up; their chunks may be fewer than asked for
 */
export function chooseEvictions(
  images: readonly CachedImage[],
  keep: ReadonlySet<ImageDigest>,
  sizeOf: (chunk: ChunkDigest) => number,
  freeBytes: number,
): ImageDigest[] {
  const users = new Map<ChunkDigest, number>();
  for (const { chunks } of images) {
    for (const chunk of chunks) users.set(chunk, (users.get(chunk) ?? 0) + 1);
  }
  const evicted: ImageDigest[] = [];
  let freed = 0;
  const oldestFirst = images
    .filter(({ digest }) => !keep.has(digest))
    .toSorted((a, b) => a.neededAt - b.neededAt);
  for (const { digest, chunks } of oldestFirst) {
    if (freed >= freeBytes) break;
    evicted.push(digest);
    for (const chunk of chunks) {
      const left = (users.get(chunk) ?? 1) - 1;
      users.set(chunk, left);
      if (left === 0) freed += sizeOf(chunk);
    }
  }
  return evicted;
}
