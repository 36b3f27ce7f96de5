/** Deltas as files: written whole or not at all, and read at any chunk of the new image. */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { DecodeError } from "../../core/errors.ts";
import { groupOfChunk } from "../delta/apply.ts";
import type { DeltaCodec } from "../delta/codec.ts";
import { DeltaDecoder, type RebuiltChunk } from "../delta/decode.ts";
import { encodeDelta } from "../delta/encode.ts";
import {
  type DeltaBinding,
  decodeDeltaHeader,
  deltaHeaderBytes,
  encodeDeltaHeader,
  type GroupPlace,
} from "../delta/header.ts";
import type { ImageReader } from "../image-reader.ts";
import type { ImageDigest } from "../manifest.ts";
import { deltaCodec } from "./delta-codec.ts";
import { unfinishedPath } from "./durable-files.ts";

export interface DeltaPair {
  readonly fromDigest: ImageDigest;
  readonly from: ImageReader;
  readonly toDigest: ImageDigest;
  readonly to: ImageReader;
}

/**
 * Durable under its name after `syncDirectory` on its folder; before that, nothing of it is there.
 *
 * @param onBytesDone of both images, up to the sum of their sizes
 * @throws what reading the images throws, or writing the file
 */
export async function writeDelta(
  path: string,
  { fromDigest, from, toDigest, to }: DeltaPair,
  onBytesDone?: (doneBytes: number) => void,
): Promise<{ readonly sizeBytes: number }> {
  const binding = { from: fromDigest, to: toDigest, payload: to.payload };
  const aside = unfinishedPath(path);
  try {
    await using file = await open(aside, "wx");
    const lengths: number[] = [];
    let sizeBytes = deltaHeaderBytes(to.payload);
    for await (const group of encodeDelta(from, to, deltaCodec, onBytesDone)) {
      await writeAt(file, group, sizeBytes);
      lengths.push(group.length);
      sizeBytes += group.length;
    }
    await writeAt(file, encodeDeltaHeader(binding, lengths), 0);
    await file.sync();
    await rename(aside, path);
    return { sizeBytes };
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

/** The new image, read through its delta: each chunk checked before it is given out. */
export interface OpenDelta extends ImageReader, AsyncDisposable {}

/** Who compares images asks for a chunk more than once: the last few groups are kept, 1 MiB each. */
const GROUPS_KEPT = 4;

/**
 * Gives any chunk of the new image at the price of its group: its dictionary and its copies are read from the old image.
 *
 * Memory: 8 chunks of the old image and 4 groups, whatever is read.
 *
 * @param from stays open as long as this is used; closing it is its owner's
 * @throws {DecodeError} not a whole delta between these images
 */
export async function openDelta(path: string, binding: DeltaBinding, from: ImageReader): Promise<OpenDelta> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const header = await readAt(file, 0, deltaHeaderBytes(binding.payload));
    const groups = decodeDeltaHeader(header, binding);
    const end = groups.reduce((sum, { lengthBytes }) => sum + lengthBytes, header.length);
    if (size !== end) throw new DecodeError(`${path} has ${size} bytes; its groups end at offset ${end}`);
    return new DeltaFile(file, binding, groups, from, deltaCodec);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class DeltaFile implements OpenDelta {
  readonly payload: DeltaBinding["payload"];
  readonly #file: FileHandle;
  readonly #groups: readonly GroupPlace[];
  readonly #decoder: DeltaDecoder;
  readonly #decoded = new Map<number, Promise<readonly RebuiltChunk[]>>();

  constructor(
    file: FileHandle,
    binding: DeltaBinding,
    groups: readonly GroupPlace[],
    from: ImageReader,
    codec: DeltaCodec,
  ) {
    this.payload = binding.payload;
    this.#file = file;
    this.#groups = groups;
    this.#decoder = new DeltaDecoder(from, binding.payload, codec);
  }

  async readChunk(index: number): Promise<Buffer | null> {
    if (this.payload.chunks[index] === undefined) throw new RangeError(`no chunk ${index} in the image`);
    if (this.payload.chunks[index] === null) return null;
    const chunks = await this.#group(groupOfChunk(index));
    return chunks.find(chunk => chunk.index === index)?.bytes ?? null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  #group(group: number): Promise<readonly RebuiltChunk[]> {
    const known = this.#decoded.get(group);
    if (known !== undefined) return known;
    const decoded = this.#decode(group);
    this.#decoded.set(group, decoded);
    // What failed once is tried again: the old image may be whole by then.
    decoded.catch(() => this.#decoded.delete(group));
    const [eldest] = this.#decoded.keys();
    if (eldest !== undefined && this.#decoded.size > GROUPS_KEPT) this.#decoded.delete(eldest);
    return decoded;
  }

  async #decode(group: number): Promise<readonly RebuiltChunk[]> {
    const place = this.#groups[group];
    if (place === undefined) throw new RangeError(`no group ${group} in the delta`);
    const bytes = await readAt(this.#file, place.offsetBytes, place.lengthBytes);
    const chunks: RebuiltChunk[] = [];
    for await (const chunk of this.#decoder.decode(group, bytes, place)) chunks.push(chunk);
    return chunks;
  }
}

async function readAt(file: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  for (let filled = 0; filled < lengthBytes; ) {
    const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, offsetBytes + filled);
    if (bytesRead === 0) throw new DecodeError(`the delta ends at offset ${offsetBytes + filled}`);
    filled += bytesRead;
  }
  return bytes;
}

async function writeAt(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, offsetBytes + written);
    written += bytesWritten;
  }
}
