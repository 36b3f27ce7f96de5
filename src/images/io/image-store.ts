/** What a registry asks of the place where it keeps images: chunks, each once, and the manifests that make images visible. */
import type { ChunkDigest, ImageDigest } from "../manifest.ts";
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
  /** @returns the frame as it is kept, past every cache and not checked; undefined: not there */
  readChunk(digest: ChunkDigest): Promise<Buffer | undefined>;
  /** Durable once `syncChunks` has run for it as well. */
  writeChunk(digest: ChunkDigest, frame: Uint8Array): Promise<void>;
  syncChunks(digests: Iterable<ChunkDigest>): Promise<void>;
  removeChunk(digest: ChunkDigest): Promise<void>;
  /** Takes a chunk out of use and keeps its bytes for whoever wants to know what became of them. @returns where */
  quarantineChunk(digest: ChunkDigest): Promise<string>;
  /** @param shard first byte of the digests, so that memory holds a 256th of them at a time */
  listChunks(shard: number): Promise<ChunkDigest[]>;

  /** @returns undefined: not there. Whether it is the one that its digest names is for the registry to see
   * @throws {DrpError} storage.damaged: it cannot be read */
  readManifest(digest: ImageDigest): Promise<SignedManifest | undefined>;
  /** Makes the image visible, durably: everything that it needs must be safe by then. */
  publishManifest(digest: ImageDigest, signed: SignedManifest): Promise<void>;
  /** Durable when it resolves, so that chunks may go. */
  removeManifest(digest: ImageDigest): Promise<void>;
  listManifests(): Promise<ImageDigest[]>;
}
