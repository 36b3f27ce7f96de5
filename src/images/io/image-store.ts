/** What a registry asks of the place where it keeps images: chunks, each once, and the manifests that make images visible. */
import type { ChunkPlace, ChunkQuestion, DeltaJob } from "../delta/process-messages.ts";
import type { ChunkDigest, ImageDigest } from "../manifest.ts";
import type { HistoryImage } from "../plan-history.ts";
import type { SignedManifest } from "../signature.ts";

/**
 * Every write is whole or not there after a crash. All methods throw DrpError storage.unreachable and storage.damaged where
 * the place is not this machine's disk; errno where it is.
 */
export interface ImageStore {
  /** "/var/lib/drp/images" or "s3://bucket/prefix", for messages. */
  readonly location: string;

  hasChunk(digest: ChunkDigest): Promise<boolean>;
  /** @returns a local file that holds the chunk's frame, checked when it came from elsewhere; undefined: not there */
  findChunk(digest: ChunkDigest): Promise<string | undefined>;
  /** @returns bytes of the chunk's frame, for which nothing of it is read; undefined: it is not kept as a frame */
  frameSize(digest: ChunkDigest): Promise<number | undefined>;
  /** @returns the frame as it is kept, past every cache and not checked; undefined: not there */
  readChunk(digest: ChunkDigest): Promise<Buffer | undefined>;
  /** Durable once `syncChunks` has run for it as well. */
  writeChunk(digest: ChunkDigest, frame: Uint8Array): Promise<void>;
  syncChunks(digests: Iterable<ChunkDigest>): Promise<void>;
  /** @returns false when something else here needs it: then it stays */
  removeChunk(digest: ChunkDigest): Promise<boolean>;
  /** Takes a chunk out of use and keeps its bytes for whoever wants to know what became of them. @returns where */
  quarantineChunk(digest: ChunkDigest): Promise<string>;
  /** @param shard first byte of the digests, so that memory holds a 256th of them at a time */
  listChunks(shard: number): Promise<ChunkDigest[]>;

  /** @returns undefined: not there. Whether it is the one that its digest names is for the registry to see
   * @throws {DrpError} storage.damaged: it cannot be read */
  readManifest(digest: ImageDigest): Promise<SignedManifest | undefined>;
  /** Makes the image visible, durably: everything that it needs must be safe by then. */
  publishManifest(digest: ImageDigest, signed: SignedManifest): Promise<void>;
  /**
   * Durable when it resolves, so that chunks may go.
   *
   * @param keepChunk of those that would go with the image itself: whether an upload relies on the chunk
   */
  removeManifest(digest: ImageDigest, keepChunk: (chunk: ChunkDigest) => boolean): Promise<void>;
  /** Also those that are damaged. */
  listManifests(): Promise<ImageDigest[]>;

  /** Reads every image that is not kept chunk by chunk. */
  findRottenDeltas(signal: AbortSignal): AsyncIterable<RottenDelta>;
  /**
   * Brings what is kept to what is planned: one image at a time, beside everything else. Does nothing where every image is whole.
   *
   * @param images all that there are, and which of them must be whole
   */
  compact(images: readonly HistoryImage[], make: MakeDelta, signal: AbortSignal): Promise<CompactReport>;
}

/** Makes the delta of a job, best in a process of its own; its chunks are where `placeOf` says. */
export type MakeDelta = (
  job: DeltaJob,
  placeOf: (question: ChunkQuestion) => Promise<ChunkPlace>,
) => Promise<{ readonly sizeBytes: number }>;

export interface CompactReport {
  readonly encoded: number;
  readonly restored: number;
  /** Deltas that would have saved too little. */
  readonly refused: number;
}

export interface RottenDelta {
  readonly image: ImageDigest;
  /** Follows "it". */
  readonly fault: string;
  /** Null: the image that it is over has suffered, not the delta; when that one is mended, it is whole again. */
  readonly keptAt: string | null;
}
