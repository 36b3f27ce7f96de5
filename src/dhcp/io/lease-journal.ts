/**
 * The lease journal on disk. Changes that come while a write is under way are collected and share the next write and its
 * fdatasync, which libuv runs on a thread of its own: the event loop goes on answering.
 */
import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../lease-journal.ts";
import type { DurableChange } from "../leases.ts";

/** About 150,000 changes; replaying them takes a second. */
const COMPACT_AT_BYTES = 16 * 1024 * 1024;
/** Lines encoded in one turn of the event loop when compacting: about 5 ms. */
const LINES_PER_TURN = 1000;

export interface LeaseJournal {
  /** Resolves when the change is on disk; rejects when it is not, and then nothing of it stays in the file. */
  append(change: DurableChange): Promise<void>;
  /** Waits for what was appended. */
  close(): Promise<void>;
}

export interface OpenedJournal {
  readonly changes: readonly DurableChange[];
  /**
   * Begins writing: the journal is first replaced by a compact one.
   *
   * @param durableChanges everything worth keeping, asked for again whenever the file has grown large
   */
  start(durableChanges: () => readonly DurableChange[]): Promise<LeaseJournal>;
}

/**
 * @param path made if it is missing, with its folder
 * @throws {DrpError} lease-journal.damaged
 */
export async function openLeaseJournal(path: string): Promise<OpenedJournal> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const bytes = await readIfPresent(path);
  const changes = decodeJournal(bytes, path);
  return {
    changes,
    start: async durableChanges => {
      const writer = new JournalWriter(path, durableChanges);
      await writer.compact();
      return writer;
    },
  };
}

async function readIfPresent(path: string): Promise<Uint8Array> {
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

class JournalWriter implements LeaseJournal {
  private readonly path: string;
  private readonly durableChanges: () => readonly DurableChange[];
  private file: FileHandle | undefined;
  /** Bytes known to be on disk and whole. */
  private sizeBytes = 0;
  private waiting: Waiting[] = [];
  private writing: Promise<void> | undefined;

  constructor(path: string, durableChanges: () => readonly DurableChange[]) {
    this.path = path;
    this.durableChanges = durableChanges;
  }

  append(change: DurableChange): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ line: encodeChange(change), resolve, reject });
      this.writing ??= this.writeWaiting();
    });
  }

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
    if (this.file === undefined || this.sizeBytes > COMPACT_AT_BYTES) await this.compact();
    if (this.file === undefined) throw new Error(`lease journal ${this.path} is not open`);
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
      const changes = this.durableChanges();
      sizeBytes = await writeAll(next, Buffer.from(JOURNAL_HEADER), 0);
      for (let index = 0; index < changes.length; index += LINES_PER_TURN) {
        const lines = changes.slice(index, index + LINES_PER_TURN).map(encodeChange);
        sizeBytes += await writeAll(next, Buffer.from(lines.join("")), sizeBytes);
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
  }
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
