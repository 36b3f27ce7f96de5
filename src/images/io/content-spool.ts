/** One file that takes the contents of many: what an archive holds goes here, once, before it becomes a file system. */
import { type FileHandle, open } from "node:fs/promises";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import { CHUNK_BYTES, MAX_CHUNKS } from "../manifest.ts";

/** No image could hold more; a bomb ends here. */
const MAX_BYTES = CHUNK_BYTES * MAX_CHUNKS;
/** Small files are gathered to writes of this size. */
const BUFFER_BYTES = 1024 * 1024;

export class ContentSpool implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #signal: AbortSignal | undefined;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #buffered = 0;
  #written = 0;

  private constructor(path: string, file: FileHandle, signal: AbortSignal | undefined) {
    this.path = path;
    this.#file = file;
    this.#signal = signal;
  }

  /**
   * @param path must not exist; whoever owns its folder removes it
   * @param signal when it is aborted, the spool takes no more
   */
  static async create(path: string, signal?: AbortSignal): Promise<ContentSpool> {
    return new ContentSpool(path, await open(path, "wx", 0o600), signal);
  }

  /** Where the next byte will stand. */
  get sizeBytes(): number {
    return this.#written + this.#buffered;
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#signal?.throwIfAborted();
    if (this.sizeBytes + bytes.length > MAX_BYTES) {
      throw new DrpError(
        "input.unreadable",
        `the files take more than ${formatBytes(MAX_BYTES)}, the most an image can hold`,
        {
          advice: "Leave some out.",
        },
      );
    }
    for (let taken = 0; taken < bytes.length; ) {
      const count = Math.min(BUFFER_BYTES - this.#buffered, bytes.length - taken);
      this.#buffer.set(bytes.subarray(taken, taken + count), this.#buffered);
      this.#buffered += count;
      taken += count;
      if (this.#buffered === BUFFER_BYTES) await this.flush();
    }
  }

  /** What was appended can be read from `path`. */
  async flush(): Promise<void> {
    await this.#file.writeFile(this.#buffer.subarray(0, this.#buffered));
    this.#written += this.#buffered;
    this.#buffered = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
