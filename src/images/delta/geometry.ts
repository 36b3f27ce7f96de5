/** The sizes that a delta is made of, and the arithmetic between blocks, chunks and groups. */
import { CHUNK_BYTES } from "../chunk-bytes.ts";
import type { Payload } from "../manifest.ts";

/** The block of ext4, and the page of whoever wrote it: unchanged content moves between versions by whole blocks. */
export const BLOCK_BYTES = 4096;
export const BLOCKS_PER_CHUNK = CHUNK_BYTES / BLOCK_BYTES;

/**
 * What is compressed together, decoded together and resumed at. Measured on two pairs of Debian images: with groups of 2 MiB a
 * dictionary serves more files than it has room for, and a delta grows by 5 %; of 8 MiB, by 10 %.
 */
export const CHUNKS_PER_GROUP = 1;
export const BLOCKS_PER_GROUP = BLOCKS_PER_CHUNK * CHUNKS_PER_GROUP;

export function countBlocks(payload: Pick<Payload, "sizeBytes">): number {
  return payload.sizeBytes / BLOCK_BYTES;
}

export function countGroups(payload: Pick<Payload, "sizeBytes">): number {
  return Math.ceil(countBlocks(payload) / BLOCKS_PER_GROUP);
}

/** BLOCKS_PER_GROUP but for the last group. */
export function blocksOfGroup(payload: Pick<Payload, "sizeBytes">, group: number): number {
  return Math.max(0, Math.min(BLOCKS_PER_GROUP, countBlocks(payload) - group * BLOCKS_PER_GROUP));
}
