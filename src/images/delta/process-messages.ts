/** What the hub and its delta process say to each other: one job, its questions for chunks, its end. */
import type { ImageDigest, Payload } from "../manifest.ts";

export interface DeltaJob {
  readonly from: DeltaImage;
  readonly to: DeltaImage;
  /** Where the delta is to lie. */
  readonly path: string;
}

export interface DeltaImage {
  readonly digest: ImageDigest;
  readonly payload: Payload;
}

export type ChunkPlace =
  /** A local file with the chunk's zstd frame. */
  | { readonly kind: "file"; readonly path: string }
  /** Plain, of a chunk that lies in no file of its own. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "lost"; readonly because: string };

export interface ChunkQuestion {
  readonly image: "from" | "to";
  readonly index: number;
}

export interface MadeDelta {
  readonly sizeBytes: number;
  /** Of the whole file. */
  readonly sha256: string;
  /** Frames of the new image's chunks that the old one does not have: what a site would fetch without the delta. */
  readonly wholeBytes: number;
  /** The most memory that the process has had, resident. */
  readonly peakMemoryBytes: number;
}

export type ToDeltaProcess =
  | { readonly kind: "make"; readonly job: DeltaJob }
  | { readonly kind: "place"; readonly id: number; readonly place: ChunkPlace };

export type FromDeltaProcess =
  | { readonly kind: "ask-place"; readonly id: number; readonly question: ChunkQuestion }
  /** Of both images. */
  | { readonly kind: "progress"; readonly doneBytes: number }
  | { readonly kind: "made"; readonly made: MadeDelta }
  | { readonly kind: "failed"; readonly because: string };
