/** Chunks of an image that lies in a slot of this machine, as a source for another one. */
import { chunkLength } from "../chunker.ts";
import { CHUNK_BYTES, type ChunkDigest, type Payload } from "../manifest.ts";
import type { Volume } from "./boot-volume.ts";
import { Disk } from "./disk.ts";

export class SlotChunks implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #volume: Volume;
  readonly #payload: Payload;
  readonly #indexes: ReadonlyMap<ChunkDigest | null, number>;

  private constructor(disk: Disk, volume: Volume, payload: Payload) {
    this.#disk = disk;
    this.#volume = volume;
    this.#payload = payload;
    this.#indexes = new Map(payload.chunks.map((digest, index) => [digest, index]));
  }

  /**
   * @param payload of the image that the slot should hold; a chunk that it does not hold is the reader's to find out
   * @throws {DrpError} disk.failed
   */
  static async open(volume: Volume, payload: Payload): Promise<SlotChunks> {
    const disk = await Disk.open(volume.path, volume.offsetBytes + volume.sizeBytes, "read-mounted");
    return new SlotChunks(disk, volume, payload);
  }

  /**
   * @param target as long as the chunk; for readDirect()
   * @returns whether it was filled, unchecked; not where the image has no such chunk, or the disk does not give it
   */
  async read(digest: ChunkDigest, target: Buffer): Promise<boolean> {
    const index = this.#indexes.get(digest);
    if (index === undefined || chunkLength(this.#payload, index) !== target.length) return false;
    try {
      await this.#disk.readDirect(target, this.#volume.offsetBytes + index * CHUNK_BYTES);
      return true;
    } catch {
      // The site has it too.
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disk[Symbol.asyncDispose]();
  }
}
