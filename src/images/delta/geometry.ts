/** The sizes that a delta is made of, and the arithmetic between blocks, chunks and groups. */
import { CHUNK_BYTES } from "../chunk-bytes.ts";
import type { Payload } from "../manifest.ts";

/** The block of ext4, and the page of whoever wrote it: unchanged content moves between versions by whole blocks. */
export const BLOCK_BYTES = 4096;
export const BLOCKS_PER_CHUNK = CHUNK_BYTES / BLOCK_BYTES;

/**
 * 2 MiB of the new image: what is compressed together, decoded together and resumed at. Measured on Debian: groups of 8 MiB share
 * one dictionary among too many files and cost 4 % more bytes; smaller ones gain nothing.
 */
export const CHUNKS_PER_GROUP = 2;
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
