/**
 * Brings a slot that holds anything (an older image, a half-written one, this one) to an image. Only what differs is fetched
 * and written, so that an update that was cut off goes on where it was, and a slot that holds the image already costs reading.
 */
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { Payload } from "../manifest.ts";
import type { FillTally } from "../slot-fill.ts";
import type { Volume } from "./boot-volume.ts";
import { Disk } from "./disk.ts";
import type { FetchFrame, ReadLocalChunk } from "./fetch-image.ts";
import { fillSlot, type OnBytesDone, verifySlot } from "./install-slot.ts";

export interface SlotUpdate {
  readonly slot: Volume;
  readonly payload: Payload;
  readonly fetchFrame: FetchFrame;
  /** Chunks of the slot that runs. */
  readonly readLocalChunk: ReadLocalChunk;
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
export async function updateSlot(update: SlotUpdate): Promise<FillTally> {
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
  const tally = await fillSlot({ ...update, disk, slotOffsetBytes: slot.offsetBytes, past: "image" });
  const isUnchanged = tally.keptBytes === payload.sizeBytes;
  // What is kept was read and hashed a moment ago.
  if (!isUnchanged) {
    await verifySlot(disk, slot.offsetBytes, payload, () => undefined, signal);
  }
  return tally;
}
