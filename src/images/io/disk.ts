/**
 * One disk, opened for this process alone: reads and writes at offsets, with errors that name the disk and the place. Much
 * data goes past the kernel's cache, which would copy it, and fill a ramdisk's memory with it.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { Extent } from "../gpt.ts";
import { runTool } from "./run-tool.ts";

export class Disk implements AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #handle: FileHandle;
  /** The same disk past the cache; null where that is refused, as by some network file systems. */
  #direct: FileHandle | null;

  private constructor(path: string, sizeBytes: number, handle: FileHandle, direct: FileHandle | null) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
    this.#direct = direct;
  }

  /**
   * O_EXCL makes the kernel refuse a block device that is mounted or otherwise in use.
   *
   * @param path a block device; a plain file serves as well
   * @param access what it is opened for; "read-mounted" alone may be in use by others
   * @throws {DrpError} disk.refused when it is in use, disk.failed otherwise
   */
  static async open(
    path: string,
    sizeBytes: number,
    access: "read" | "read-mounted" | "write",
  ): Promise<Disk> {
    const mode = access === "write" ? constants.O_RDWR : constants.O_RDONLY;
    try {
      const handle = await open(path, access === "read-mounted" ? mode : mode | constants.O_EXCL);
      const direct = await open(path, mode | constants.O_DIRECT).catch(() => null);
      return new Disk(path, sizeBytes, handle, direct);
    } catch (cause) {
      const isBusy = cause instanceof Error && "code" in cause && cause.code === "EBUSY";
      throw new DrpError(
        isBusy ? "disk.refused" : "disk.failed",
        isBusy ? `${path} is in use` : `${path} cannot be opened`,
        { advice: isBusy ? "Unmount what is on it." : "Check the disk and its cable.", cause },
      );
    }
  }

  /**
   * Fills `target`, which whoever reads much uses again and again.
   *
   * @throws {DrpError} disk.failed
   */
  async readInto(target: Uint8Array, offsetBytes: number): Promise<void> {
    await this.#each(target, offsetBytes, "read", async (rest, position) => {
      const { bytesRead } = await this.#handle.read(rest, 0, rest.length, position);
      return bytesRead;
    });
  }

  /**
   * Like `readInto`, from the disk itself where the kernel can do that.
   *
   * @param target of allocateDirectMemory(), or a part of it; whole blocks of 4 KiB, as the offset
   * @throws {DrpError} disk.failed
   */
  async readDirect(target: Uint8Array, offsetBytes: number): Promise<void> {
    await this.#each(target, offsetBytes, "read", async (rest, position) => {
      const { bytesRead } = await this.#pastCache(handle => handle.read(rest, 0, rest.length, position));
      return bytesRead;
    });
  }

  /**
   * Like `write`, past the kernel's cache where it can do that; `flush` is needed all the same.
   *
   * @param extent in memory of allocateDirectMemory(); whole blocks of 4 KiB
   * @throws {DrpError} disk.failed
   */
  async writeDirect({ offsetBytes, bytes }: Extent): Promise<void> {
    await this.#each(bytes, offsetBytes, "written", async (rest, position) => {
      const { bytesWritten } = await this.#pastCache(handle => handle.write(rest, 0, rest.length, position));
      return bytesWritten;
    });
  }

  /** The bytes are in the kernel's cache when this resolves; `flush` brings them to the disk. */
  async write({ offsetBytes, bytes }: Extent): Promise<void> {
    await this.#each(bytes, offsetBytes, "written", async (rest, position) => {
      const { bytesWritten } = await this.#handle.write(rest, 0, rest.length, position);
      return bytesWritten;
    });
  }

  /** Resolves when everything written so far is on the disk. */
  async flush(): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (cause) {
      throw this.#failure("what was written cannot be brought to the disk", cause);
    }
  }

  /** Whether it is a file without a byte in it: it reads as zeros from end to end. */
  async isEmptyFile(): Promise<boolean> {
    const stat = await this.#handle.stat();
    return stat.isFile() && stat.blocks === 0;
  }

  /** Forgets what the kernel remembers of the disk, so that the next read comes from the disk itself. */
  async dropCache(): Promise<void> {
    const stat = await this.#handle.stat();
    if (stat.isBlockDevice()) await runTool("blockdev", ["--flushbufs", this.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#direct?.close();
    await this.#handle.close();
  }

  /** EINVAL: opened so, but the file system or this disk's blocks do not go with it; then through the cache from now on. */
  async #pastCache<T>(transfer: (handle: FileHandle) => Promise<T>): Promise<T> {
    const direct = this.#direct;
    if (direct === null) return await transfer(this.#handle);
    try {
      return await transfer(direct);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EINVAL")) throw error;
      this.#direct = null;
      return await transfer(this.#handle);
    }
  }

  async #each(
    bytes: Uint8Array,
    offsetBytes: number,
    verb: string,
    transfer: (rest: Uint8Array, position: number) => Promise<number>,
  ): Promise<void> {
    let done = 0;
    try {
      while (done < bytes.length) {
        const count = await transfer(bytes.subarray(done), offsetBytes + done);
        if (count === 0) throw new Error("the disk ends here");
        done += count;
      }
    } catch (cause) {
      const place = `at ${offsetBytes + done} of ${this.sizeBytes} (${formatBytes(this.sizeBytes)})`;
      throw this.#failure(`${bytes.length - done} bytes could not be ${verb} ${place}`, cause);
    }
  }

  #failure(message: string, cause: unknown): DrpError {
    return new DrpError("disk.failed", `${this.path}: ${message}`, {
      advice: "Check the disk and its cable; replace it if this happens again.",
      facts: { disk: this.path },
      cause,
    });
  }
}
