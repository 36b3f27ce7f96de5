/**
 * A journal of lines on disk. Lines that come while a write is under way are collected and share the next write and its
 * fdatasync, which libuv runs on a thread of its own: the event loop goes on answering. What a line says is not known here.
 */
import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Lines encoded in one turn of the event loop when compacting: about 5 ms. */
const LINES_PER_TURN = 1000;

/** Empty when there is no such file; its folder is made. */
export async function readJournal(path: string): Promise<Uint8Array> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Uint8Array();
    throw error;
  }
}

interface Waiting {
  readonly line: string;
  resolve(): void;
  reject(error: unknown): void;
}

/** Lines on disk: appended and replaced as a whole, never changed. */
export class LineJournal {
  private readonly path: string;
  private readonly compactLines: () => Iterable<string>;
  private file: FileHandle | undefined;
  /** Bytes known to be on disk and whole. */
  private sizeBytes = 0;
  private compactAtBytes: number;
  private readonly leastCompactBytes: number;
  private waiting: Waiting[] = [];
  private writing: Promise<void> | undefined;

  /**
   * @param compactLines everything worth keeping, asked for again whenever the file has grown past `compactAtBytes` and to
   *   twice its compact size
   */
  constructor(path: string, compactAtBytes: number, compactLines: () => Iterable<string>) {
    this.path = path;
    this.compactLines = compactLines;
    this.leastCompactBytes = compactAtBytes;
    this.compactAtBytes = compactAtBytes;
  }

  /** Resolves when the line is on disk; rejects when it is not, and then nothing of it stays in the file. */
  append(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ line, resolve, reject });
      this.writing ??= this.writeWaiting();
    });
  }

  /** Waits for what was appended. */
  async close(): Promise<void> {
    await this.writing;
    await this.file?.close();
    this.file = undefined;
  }

  private async writeWaiting(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      try {
        await this.commit(batch.map(({ line }) => line).join(""));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.writing = undefined;
  }

  private async commit(text: string): Promise<void> {
    if (this.file === undefined || this.sizeBytes > this.compactAtBytes) await this.compact();
    if (this.file === undefined) throw new Error(`journal ${this.path} is not open`);
    const bytes = Buffer.from(text);
    try {
      await writeAll(this.file, bytes, this.sizeBytes);
      await this.file.datasync();
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages: what the file holds is not known. Begin a new one.
      await this.file.close().catch(() => {});
      this.file = undefined;
      throw error;
    }
    this.sizeBytes += bytes.length;
  }

  /** Writes a new journal beside the old one and puts it in its place; the old one stays whole until then. */
  async compact(): Promise<void> {
    const next = await open(`${this.path}.new`, "w", 0o600);
    let sizeBytes = 0;
    try {
      for (const text of batches(this.compactLines(), LINES_PER_TURN)) {
        sizeBytes += await writeAll(next, Buffer.from(text), sizeBytes);
      }
      await next.sync();
      await rename(`${this.path}.new`, this.path);
      await syncFolder(dirname(this.path));
    } catch (error) {
      await next.close();
      throw error;
    }
    await this.file?.close();
    this.file = next;
    this.sizeBytes = sizeBytes;
    this.compactAtBytes = Math.max(this.leastCompactBytes, 2 * sizeBytes);
  }
}

function* batches(lines: Iterable<string>, count: number): Generator<string> {
  let batch: string[] = [];
  for (const line of lines) {
    if (batch.push(line) < count) continue;
    yield batch.join("");
    batch = [];
  }
  yield batch.join("");
}

/** A write may be short on a full disk; the next one then says why. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  let written = 0;
  while (written < bytes.length) {
    const result = await file.write(bytes, written, bytes.length - written, position + written);
    written += result.bytesWritten;
  }
  return written;
}

/** A rename is on disk only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
