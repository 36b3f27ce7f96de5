/**
 * A journal of lines on disk. Lines that come while a write is under way are collected and share the next one, which libuv
 * runs on a thread of its own: the event loop goes on answering. The file is open with O_DSYNC: a write is on disk when it
 * returns, and costs one way to that thread and back instead of two. What a line says is not known here.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { keepAsHistory } from "./rotated-files.ts";

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

export interface LineJournalOptions {
  readonly path: string;
  /** The file is made compact when it has grown past this and to twice its compact size. */
  readonly compactAtBytes: number;
  /** Everything worth keeping, asked for again for each compact file; read in steps, while lines go on being appended. */
  readonly compactLines: () => Iterable<string>;
  /** Of the files that compact ones replaced, as PATH.1 (the newest) and so on. */
  readonly keepReplaced: number;
}

interface Waiting {
  readonly line: string;
  resolve(): void;
  reject(error: unknown): void;
}

/** The next compact file, while it is written and before it takes the journal's place. */
interface Compaction {
  readonly file: FileHandle;
  sizeBytes: number;
  /** Appended to the old file meanwhile: it belongs behind the compact lines. */
  readonly tail: string[];
  state: "writing" | "written" | "given-up";
}

/** Encoded in one turn of the event loop when compacting: about 2 ms. */
const LINES_PER_TURN = 400;

/** More lines in one write than that: thousands come in a second. */
const LOADED_LINES = 3;
/** Nothing to a client that waits seconds. */
const GATHER_MS = 2;

/** Lines on disk: appended and replaced as a whole, never changed. */
export class LineJournal {
  private readonly options: LineJournalOptions;
  private file: FileHandle | undefined;
  /** Bytes known to be on disk and whole. */
  private sizeBytes = 0;
  private compactAtBytes: number;
  private waiting: Waiting[] = [];
  private writing: Promise<void> | undefined;
  private compaction: Compaction | undefined;
  private compacting: Promise<void> | undefined;

  constructor(options: LineJournalOptions) {
    this.options = options;
    this.compactAtBytes = options.compactAtBytes;
  }

  /** Resolves when the line is on disk; rejects when it is not, and then nothing of it stays in the file. */
  append(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ line, resolve, reject });
      this.writing ??= this.writeWaiting();
    });
  }

  /** Goes on with the file as it is. @param sizeBytes of it, all of them whole lines */
  async resume(sizeBytes: number): Promise<void> {
    this.file = await openDurably(this.options.path);
    this.sizeBytes = sizeBytes;
  }

  /** Waits for what was appended. */
  async close(): Promise<void> {
    await this.writing;
    await this.compacting;
    await this.writing;
    await this.file?.close();
    this.file = undefined;
  }

  private async writeWaiting(): Promise<void> {
    let lastLines = 0;
    while (this.waiting.length > 0 || this.compaction?.state === "written") {
      if (this.compaction?.state === "written") {
        await this.finishCompaction(this.compaction).catch(() => this.compactLater());
      }
      await gather(lastLines);
      const batch = this.waiting;
      this.waiting = [];
      lastLines = batch.length;
      try {
        if (batch.length > 0) await this.commit(batch.map(({ line }) => line).join(""));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.writing = undefined;
  }

  private async commit(text: string): Promise<void> {
    if (this.file === undefined) await this.compact();
    if (this.file === undefined) throw new Error(`journal ${this.options.path} is not open`);
    const bytes = Buffer.from(text);
    try {
      await writeAll(this.file, bytes, this.sizeBytes);
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages: what the file holds is not known. Begin a new one.
      const { file } = this;
      this.file = undefined;
      await file.truncate(this.sizeBytes).catch(() => {});
      await file.close().catch(() => {});
      throw error;
    }
    this.sizeBytes += bytes.length;
    this.compaction?.tail.push(text);
    // One that is written waits for its turn in `writeWaiting`.
    if (this.sizeBytes > this.compactAtBytes && this.compaction === undefined) {
      this.compacting ??= this.compactMeanwhile().finally(() => {
        this.compacting = undefined;
      });
    }
  }

  /** Writes a compact journal and puts it in the old one's place; appended lines wait. The old one stays whole until then. */
  async compact(): Promise<void> {
    const compaction = await this.beginCompaction();
    try {
      await this.writeCompactLines(compaction);
    } catch (error) {
      await this.giveUp(compaction);
      throw error;
    }
    await this.finishCompaction(compaction);
  }

  /** The same while lines go on being appended to the old file. A failure leaves the old file as it is, to be tried later. */
  private async compactMeanwhile(): Promise<void> {
    let compaction: Compaction | undefined;
    try {
      compaction = await this.beginCompaction();
      this.compaction = compaction;
      await this.writeCompactLines(compaction);
      compaction.state = "written";
      this.writing ??= this.writeWaiting();
    } catch {
      if (compaction !== undefined) await this.giveUp(compaction);
      this.compactLater();
    }
  }

  private compactLater(): void {
    this.compactAtBytes = this.sizeBytes + this.options.compactAtBytes;
  }

  private async beginCompaction(): Promise<Compaction> {
    // One that was under way when the old file failed is worth nothing: this one begins later and knows more.
    if (this.compaction !== undefined) await this.giveUp(this.compaction);
    const file = await open(`${this.options.path}.new`, "w", 0o600);
    return { file, sizeBytes: 0, tail: [], state: "writing" };
  }

  private async writeCompactLines(compaction: Compaction): Promise<void> {
    for (const text of batches(this.options.compactLines(), LINES_PER_TURN)) {
      compaction.sizeBytes += await writeAll(compaction.file, Buffer.from(text), compaction.sizeBytes);
    }
    await compaction.file.sync();
  }

  /** Only `writeWaiting` calls it, or nothing is being written: no line can come between. */
  private async finishCompaction(compaction: Compaction): Promise<void> {
    const { path, keepReplaced } = this.options;
    let durable: FileHandle | undefined;
    try {
      compaction.sizeBytes += await writeAll(
        compaction.file,
        Buffer.from(compaction.tail.join("")),
        compaction.sizeBytes,
      );
      await compaction.file.sync();
      await compaction.file.close();
      durable = await openDurably(`${path}.new`);
      if (keepReplaced > 0) await keepAsHistory(path, keepReplaced);
      await rename(`${path}.new`, path);
    } catch (error) {
      await durable?.close().catch(() => {});
      await this.giveUp(compaction);
      throw error;
    }
    const replaced = this.file;
    this.compaction = undefined;
    this.file = durable;
    this.sizeBytes = compaction.sizeBytes;
    this.compactAtBytes = Math.max(this.options.compactAtBytes, 2 * compaction.sizeBytes);
    await replaced?.close();
    try {
      await syncFolder(dirname(path));
    } catch (error) {
      // Which of the two files has the name after a power cut is not known: begin another.
      this.file = undefined;
      await durable.close().catch(() => {});
      throw error;
    }
  }

  private async giveUp(compaction: Compaction): Promise<void> {
    if (compaction.state === "given-up") return;
    compaction.state = "given-up";
    if (this.compaction === compaction) this.compaction = undefined;
    await compaction.file.close().catch(() => {});
    await rm(`${this.options.path}.new`, { force: true }).catch(() => {});
  }
}

/**
 * Waits for lines that are to share the next write: those of this turn of the event loop; under load those of some
 * milliseconds. A durable write costs the kernel as much as ten answers: fewer of them leave it time for a sixth more.
 */
async function gather(lastLines: number): Promise<void> {
  if (lastLines > LOADED_LINES) await setTimeout(GATHER_MS);
  else await setImmediate();
}

async function openDurably(path: string): Promise<FileHandle> {
  return await open(path, constants.O_RDWR | constants.O_DSYNC);
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
