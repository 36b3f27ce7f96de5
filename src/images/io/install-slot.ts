/** Writes an image into a slot, many chunks side by side, and reads it back to see where the disk holds something else. */
import { DrpError } from "../../core/errors.ts";
import { chunkLength, isZeroChunk } from "../chunker.ts";
import { chunkDigest } from "../digest.ts";
import { CHUNK_BYTES, type ChunkDigest, type Payload } from "../manifest.ts";
import { changedRanges, decideChunk, type FillTally, type SlotPast } from "../slot-fill.ts";
import { MAX_FRAME_BYTES } from "../zstd-frames.ts";
import { allocateDirectMemory } from "./direct-memory.ts";
import type { Disk } from "./disk.ts";
import { type FetchFrame, fetchChunk, type ReadLocalChunk } from "./fetch-image.ts";
import { TaskWindow } from "./task-window.ts";

export type OnBytesDone = (doneBytes: number) => void;

export interface SlotFill {
  readonly disk: Disk;
  readonly slotOffsetBytes: number;
  readonly payload: Payload;
  readonly past: SlotPast;
  readonly fetchFrame: FetchFrame;
  /** Asked before `fetchFrame`; what it gives is checked too. */
  readonly readLocalChunk?: ReadLocalChunk;
  /** Runs once, before the slot's first byte changes. */
  readonly beforeFirstWrite?: () => Promise<void>;
  /** Bytes of the image that the slot holds. */
  readonly onBytesDone: OnBytesDone;
  /** Ends it between two chunks. */
  readonly signal?: AbortSignal;
}

/** Hides the network's and the disk's latency. A chunk on its way takes at most 5 MiB: frame, plain, old, hashed, unpacked. */
const CHUNKS_AT_ONCE = 8;

/**
 * Resolves when the image is on the disk.
 *
 * @throws {DrpError} disk.failed, bundle.tampered, or what `fetchFrame` throws
 * @throws the signal's reason
 */
export async function fillSlot(fill: SlotFill): Promise<FillTally> {
  const tally: FillTally = { keptBytes: 0, zeroBytes: 0, localBytes: 0, fetchedBytes: 0 };
  let doneBytes = 0;
  let announced: Promise<void> | undefined;
  const announceWrite = () => (announced ??= fill.beforeFirstWrite?.() ?? Promise.resolve());
  const [zeroMemory = Buffer.alloc(CHUNK_BYTES)] = allocateDirectMemory(1);
  const zeros = { memory: zeroMemory, wereThere: true };
  const allocate = (count: number) => {
    const wanted = allocateDirectMemory(count);
    const present = fill.past === "zeroed" ? [] : allocateDirectMemory(count);
    return wanted.map((memory, index) => ({
      wanted: memory,
      present: present[index] ?? memory,
      frame: Buffer.allocUnsafeSlow(MAX_FRAME_BYTES),
    }));
  };

  if (fill.past === "image") await fill.disk.dropCache();
  await eachChunk(fill.payload, fill.signal, allocate, async (chunk, memory, signal) => {
    const origin = await fillChunk(fill, chunk, { memory, zeros, signal, announceWrite });
    tally[origin] += chunk.lengthBytes;
    doneBytes += chunk.lengthBytes;
    fill.onBytesDone(doneBytes);
  });
  // Also what an earlier run wrote and this one found there: it may have been found in a cache.
  await fill.disk.flush();
  return tally;
}

interface Chunk {
  readonly index: number;
  readonly digest: ChunkDigest | null;
  /** In the raw image. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Used by one chunk after the other. */
interface FillMemory {
  readonly wanted: Buffer;
  readonly present: Buffer;
  readonly frame: Buffer;
}

interface ChunkWork {
  readonly memory: FillMemory;
  /** What all chunks know of zeros: a piece of them, and whether the disk had those that were looked for last. */
  readonly zeros: { readonly memory: Buffer; wereThere: boolean };
  readonly signal: AbortSignal;
  readonly announceWrite: () => Promise<void>;
}

async function fillChunk(fill: SlotFill, chunk: Chunk, work: ChunkWork): Promise<keyof FillTally> {
  const { disk } = fill;
  const { lengthBytes } = chunk;
  const offsetBytes = fill.slotOffsetBytes + chunk.offsetBytes;
  const step = decideChunk(chunk.digest, fill.past, chunk.index, work.zeros.wereThere);
  if (step === "skip") return "keptBytes";
  const present = work.memory.present.subarray(0, lengthBytes);
  if (step === "compare") {
    await disk.readDirect(present, offsetBytes);
    const isThere = holds(present, chunk.digest);
    if (chunk.digest === null) work.zeros.wereThere = isThere;
    if (isThere) return "keptBytes";
  }
  const wanted = (chunk.digest === null ? work.zeros.memory : work.memory.wanted).subarray(0, lengthBytes);
  const origin = chunk.digest === null ? "zeroBytes" : await bringChunk(fill, chunk.digest, wanted, work);
  const ranges = step === "compare" ? changedRanges(present, wanted) : [{ offsetBytes: 0, lengthBytes }];
  await work.announceWrite();
  for (const range of ranges) {
    const bytes = wanted.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes);
    await disk.writeDirect({ offsetBytes: offsetBytes + range.offsetBytes, bytes });
  }
  return origin;
}

/** @param target filled with the chunk, checked */
async function bringChunk(
  { readLocalChunk, fetchFrame }: SlotFill,
  digest: ChunkDigest,
  target: Buffer,
  { memory, signal }: ChunkWork,
): Promise<keyof FillTally> {
  if ((await readLocalChunk?.(digest, target)) === true && holds(target, digest)) return "localBytes";
  await fetchChunk({ digest, fetchFrame, target, frameMemory: memory.frame, signal });
  return "fetchedBytes";
}

/**
 * @param signal ends it between two chunks
 * @throws {DrpError} disk.failed naming the place where the disk gives back something else
 * @throws the signal's reason
 */
export async function verifySlot(
  disk: Disk,
  slotOffsetBytes: number,
  payload: Payload,
  onBytesDone: OnBytesDone,
  signal?: AbortSignal,
): Promise<void> {
  await disk.dropCache();
  let doneBytes = 0;
  await eachChunk(payload, signal, allocateDirectMemory, async (chunk, memory) => {
    const offsetBytes = slotOffsetBytes + chunk.offsetBytes;
    const bytes = memory.subarray(0, chunk.lengthBytes);
    await disk.readDirect(bytes, offsetBytes);
    if (!holds(bytes, chunk.digest)) {
      throw new DrpError(
        "disk.failed",
        `${disk.path} gives back other bytes than were written, at ${offsetBytes}`,
        { advice: "Replace the disk.", facts: { disk: disk.path, offsetBytes } },
      );
    }
    doneBytes += chunk.lengthBytes;
    onBytesDone(doneBytes);
  });
}

function holds(bytes: Buffer, digest: ChunkDigest | null): boolean {
  return digest === null ? isZeroChunk(bytes) : chunkDigest(bytes) === digest;
}

/**
 * Works on CHUNKS_AT_ONCE chunks at a time, each with memory of its own. Whoever fails ends the others, and is waited for:
 * nobody may touch the disk afterwards.
 */
async function eachChunk<Memory>(
  payload: Payload,
  signal: AbortSignal | undefined,
  allocate: (count: number) => Memory[],
  work: (chunk: Chunk, memory: Memory, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const stopped = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal]);
  const free = allocate(Math.min(CHUNKS_AT_ONCE, payload.chunks.length));
  const window = new TaskWindow(free.length);
  try {
    for (const [index, digest] of payload.chunks.entries()) {
      signal?.throwIfAborted();
      const lengthBytes = chunkLength(payload, index);
      const chunk = { index, digest, offsetBytes: index * CHUNK_BYTES, lengthBytes };
      await window.start(async () => {
        const memory = free.pop();
        if (memory === undefined) throw new RangeError("more chunks are under way than there is memory for");
        await work(chunk, memory, stopped).catch((error: unknown) => {
          // The first reason stays; what the others throw, because of it, says nothing.
          failed.abort(error);
          throw error;
        });
        free.push(memory);
      });
    }
    await window.finish();
  } catch (error) {
    signal?.throwIfAborted();
    failed.signal.throwIfAborted();
    throw error;
  } finally {
    await window.settle();
  }
}
