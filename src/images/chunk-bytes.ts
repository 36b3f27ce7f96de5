/** The size of a chunk, alone: a process whose memory is counted can know it without the schemas of the manifest. */

/** 1 MiB of the raw image: large enough for full disk speed, small enough to resume and verify by. */
export const CHUNK_BYTES = 1024 * 1024;
