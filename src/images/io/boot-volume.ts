/**
 * The boot state on a machine's ESP: GRUB's environment block and the slots' configurations, read and rewritten in place
 * without a mount, so that a power cut never leaves the file system itself half-changed.
 */
import { DrpError } from "../../core/errors.ts";
import { type FatFilePlace, locateFatFile } from "../fat-file.ts";
import { type BootState, decodeGrubEnv, encodeGrubEnv } from "../grub-env.ts";
import { encodeSlotConfig, type Slot, type SlotContent } from "../slot-config.ts";
import { Disk } from "./disk.ts";

/** A partition as a range of a device: its own node from 0 on, or the whole disk's. Never both: each node has its own cache. */
export interface Volume {
  readonly path: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** @returns null when the environment block cannot be used; GRUB then boots slot a */
export async function readBootState(esp: Volume): Promise<BootState | null> {
  await using disk = await openVolume(esp, "read");
  const place = await locate(disk, esp, "/drp/grubenv");
  return decodeGrubEnv(await readFrom(disk, esp, place.offsetBytes, place.sizeBytes));
}

/** Resolves when the state is on the disk. */
export async function writeBootState(esp: Volume, state: BootState): Promise<void> {
  await replaceContent(esp, "/drp/grubenv", encodeGrubEnv(state));
}

/**
 * Resolves when it is on the disk.
 *
 * @param content null: the slot holds no image, and GRUB never boots it
 */
export async function writeSlotConfig(esp: Volume, slot: Slot, content: SlotContent | null): Promise<void> {
  await replaceContent(esp, `/drp/slot-${slot}.cfg`, Buffer.from(encodeSlotConfig(content)));
}

async function replaceContent(esp: Volume, path: string, content: Buffer): Promise<void> {
  await using disk = await openVolume(esp, "write");
  const { offsetBytes, sizeBytes } = await locate(disk, esp, path);
  if (content.length !== sizeBytes) throw unusable(esp, `${path} has ${sizeBytes} bytes`);
  await disk.write({ offsetBytes: esp.offsetBytes + offsetBytes, bytes: content });
  await disk.flush();
}

async function locate(disk: Disk, esp: Volume, path: string): Promise<FatFilePlace> {
  try {
    return await locateFatFile((offset, length) => readFrom(disk, esp, offset, length), path);
  } catch (cause) {
    throw cause instanceof DrpError
      ? cause
      : unusable(esp, "its file system is not what the install left", cause);
  }
}

async function readFrom(disk: Disk, volume: Volume, offsetBytes: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await disk.readInto(bytes, volume.offsetBytes + offsetBytes);
  return bytes;
}

function openVolume(volume: Volume, access: "read" | "write"): Promise<Disk> {
  return Disk.open(volume.path, volume.offsetBytes + volume.sizeBytes, access);
}

function unusable(esp: Volume, message: string, cause?: unknown): DrpError {
  return new DrpError("disk.failed", `the boot partition ${esp.path} cannot be used: ${message}`, {
    advice: "Install the machine again.",
    cause,
  });
}
