/** One disk, opened for this process alone: reads and writes at offsets, with errors that name the disk and the place. */
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

  private constructor(path: string, sizeBytes: number, handle: FileHandle) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
  }

  /**
   * O_EXCL makes the kernel refuse a block device that is mounted or otherwise in use.
   *
   * @param path a block device; a plain file serves as well
   * @param access what it is opened for
   * @throws {DrpError} disk.refused when it is in use, disk.failed otherwise
   */
  static async open(path: string, sizeBytes: number, access: "read" | "write"): Promise<Disk> {
    const mode = access === "read" ? constants.O_RDONLY : constants.O_RDWR;
    try {
      return new Disk(path, sizeBytes, await open(path, mode | constants.O_EXCL));
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

  /** Forgets what the kernel remembers of the disk, so that the next read comes from the disk itself. */
  async dropCache(): Promise<void> {
    const stat = await this.#handle.stat();
    if (stat.isBlockDevice()) await runTool("blockdev", ["--flushbufs", this.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
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
