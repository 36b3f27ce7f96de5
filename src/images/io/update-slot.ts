/**
 * Brings a slot that holds anything (an older image, a half-written one, this one) to an image. Only chunks that differ are
 * fetched, so that an update that was cut off goes on where it was, and a slot that holds the image already costs reading.
 */
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { Payload } from "../manifest.ts";
import type { Volume } from "./boot-volume.ts";
import { Disk } from "./disk.ts";
import { type FetchFrame, fetchImage, type ImageChunk } from "./fetch-image.ts";
import { compareSlot, type OnBytesDone, verifySlot, writeSlot } from "./install-slot.ts";

export interface SlotUpdate {
  readonly slot: Volume;
  readonly payload: Payload;
  readonly fetchFrame: FetchFrame;
  /** Runs before the slot's first byte changes: what says that the slot is bootable has to go first. */
  readonly beforeFirstWrite: () => Promise<void>;
  /** Bytes of the image that the slot holds. */
  readonly onBytesDone: OnBytesDone;
  /** Ends it between two chunks. */
  readonly signal: AbortSignal;
}

/**
 * Resolves when the slot holds the image, read back from the disk.
 *
 * @throws {DrpError} disk.too-small, disk.refused, disk.failed, bundle.tampered, or what `fetchFrame` throws
 * @throws the signal's reason
 */
export async function updateSlot(update: SlotUpdate): Promise<void> {
  const { slot, payload, signal } = update;
  if (payload.sizeBytes > slot.sizeBytes) {
    throw new DrpError(
      "disk.too-small",
      `the image of ${formatBytes(payload.sizeBytes)} does not fit the slot of ${formatBytes(slot.sizeBytes)}`,
      {
        advice:
          "Build a smaller image, or roll it out with the strategy reimage, which divides the disk anew.",
      },
    );
  }
  await using disk = await Disk.open(slot.path, slot.offsetBytes + slot.sizeBytes, "write");
  const { different, equalBytes } = await findDifferent(disk, update);
  if (different.length === 0) return;

  await update.beforeFirstWrite();
  const chunks = untilAborted(fetchImage(payload, update.fetchFrame, different), signal);
  await writeSlot(disk, slot.offsetBytes, chunks, doneBytes => update.onBytesDone(equalBytes + doneBytes));
  await verifySlot(disk, slot.offsetBytes, payload, () => signal.throwIfAborted());
}

async function findDifferent(
  disk: Disk,
  { slot, payload, onBytesDone, signal }: SlotUpdate,
): Promise<{ different: number[]; equalBytes: number }> {
  const different: number[] = [];
  let equalBytes = 0;
  for await (const chunk of compareSlot(disk, slot.offsetBytes, payload)) {
    signal.throwIfAborted();
    if (chunk.isEqual) equalBytes += chunk.lengthBytes;
    else different.push(chunk.index);
    onBytesDone(equalBytes);
  }
  return { different, equalBytes };
}

async function* untilAborted(
  chunks: AsyncIterable<ImageChunk>,
  signal: AbortSignal,
): AsyncGenerator<ImageChunk> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}
