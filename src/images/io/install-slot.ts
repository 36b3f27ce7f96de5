/** Writes an image into a slot, many chunks side by side, and reads it back to see where the disk holds something else. */
import { DrpError } from "../../core/errors.ts";
import { chunkLength, isZeroChunk } from "../chunker.ts";
import { CHUNK_BYTES, type ChunkDigest, type Payload } from "../manifest.ts";
import { changedRanges, decideChunk, type FillTally, type SlotPast } from "../slot-fill.ts";
import { allocateDirectMemory } from "./direct-memory.ts";
import type { Disk } from "./disk.ts";
import { type FetchFrame, fetchChunk, hashChunk, type ReadLocalChunk } from "./fetch-image.ts";
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

/** Hides the network's and the disk's latency. Each chunk takes at most 4 MiB on its way: frame, plain, hashed, written. */
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

  await eachChunk(fill.payload, fill.signal, async (chunk, memory, signal) => {
    const origin = await fillChunk(fill, chunk, { memory, signal, announceWrite });
    tally[origin] += chunk.lengthBytes;
    doneBytes += chunk.lengthBytes;
    fill.onBytesDone(doneBytes);
  });
  if (announced !== undefined) await fill.disk.flush();
  return tally;
}

interface Chunk {
  readonly digest: ChunkDigest | null;
  /** In the raw image. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

interface ChunkWork {
  /** As long as the chunk. */
  readonly memory: Buffer;
  readonly signal: AbortSignal;
  readonly announceWrite: () => Promise<void>;
}

async function fillChunk(fill: SlotFill, chunk: Chunk, work: ChunkWork): Promise<keyof FillTally> {
  const { disk } = fill;
  const { memory } = work;
  const offsetBytes = fill.slotOffsetBytes + chunk.offsetBytes;
  const step = decideChunk(chunk.digest, fill.past);
  if (step === "skip") return "keptBytes";
  if (step === "compare") {
    await disk.readDirect(memory, offsetBytes);
    if (await holds(memory, chunk.digest)) return "keptBytes";
  }
  const { origin, bytes } = await bringChunk(fill, chunk, work.signal);
  const ranges =
    step === "compare" ? changedRanges(memory, bytes) : [{ offsetBytes: 0, lengthBytes: bytes.length }];
  await work.announceWrite();
  memory.set(bytes);
  for (const range of ranges) {
    const changed = memory.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes);
    await disk.writeDirect({ offsetBytes: offsetBytes + range.offsetBytes, bytes: changed });
  }
  return origin;
}

const ZEROS = Buffer.alloc(CHUNK_BYTES);

async function bringChunk(
  { readLocalChunk, fetchFrame }: SlotFill,
  { digest, lengthBytes }: Chunk,
  signal: AbortSignal,
): Promise<{ origin: keyof FillTally; bytes: Uint8Array }> {
  if (digest === null) return { origin: "zeroBytes", bytes: ZEROS.subarray(0, lengthBytes) };
  const local = await readLocalChunk?.(digest, lengthBytes);
  if (local !== undefined && (await hashChunk(local)) === digest) {
    return { origin: "localBytes", bytes: local };
  }
  return { origin: "fetchedBytes", bytes: await fetchChunk(digest, lengthBytes, fetchFrame, signal) };
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
  await eachChunk(payload, signal, async (chunk, memory) => {
    const offsetBytes = slotOffsetBytes + chunk.offsetBytes;
    await disk.readDirect(memory, offsetBytes);
    if (!(await holds(memory, chunk.digest))) {
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

async function holds(bytes: Buffer, digest: ChunkDigest | null): Promise<boolean> {
  return digest === null ? isZeroChunk(bytes) : (await hashChunk(bytes)) === digest;
}

/**
 * Works on CHUNKS_AT_ONCE chunks at a time, each with memory of its own. Whoever fails ends the others, and is waited for:
 * nobody may touch the disk afterwards.
 */
async function eachChunk(
  payload: Payload,
  signal: AbortSignal | undefined,
  work: (chunk: Chunk, memory: Buffer, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const stopped = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal]);
  const free = allocateDirectMemory(Math.min(CHUNKS_AT_ONCE, payload.chunks.length));
  const window = new TaskWindow(free.length);
  try {
    for (const [index, digest] of payload.chunks.entries()) {
      signal?.throwIfAborted();
      const lengthBytes = chunkLength(payload, index);
      const chunk = { digest, offsetBytes: index * CHUNK_BYTES, lengthBytes };
      await window.start(async () => {
        const memory = free.pop();
        if (memory === undefined) throw new RangeError("more chunks are under way than there is memory for");
        await work(chunk, memory.subarray(0, lengthBytes), stopped).catch((error: unknown) => {
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
