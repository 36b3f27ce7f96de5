/**
 * Files that many transfers read at once, in pieces: fifty machines that fetch one loader cost one read of it. Memory is
 * bounded; a file that was replaced is read anew. Knows neither packets nor clients.
 */
import { type FileHandle, open, stat } from "node:fs/promises";

/** A piece is read while the one before it is sent; a transfer holds two at most. */
export const PIECE_BYTES = 64 * 1024;
/** A site's loaders, kernel and ramdisk; pieces that rest longest go first. */
const MAX_CACHE_BYTES = 64 * 1024 * 1024;
const MAX_PIECES = MAX_CACHE_BYTES / PIECE_BYTES;
/** Names of files, once they are closed and their pieces gone. */
const MAX_IDLE_FILES = 256;

export class FileCache {
  private readonly files = new Map<string, CachedFile>();
  /** In the order of their last use. */
  private readonly pieces = new Map<Piece, CachedFile>();

  /**
   * Release it when it is no longer read.
   *
   * @throws what the file system says
   */
  async open(path: string): Promise<CachedFile> {
    const known = this.files.get(path);
    if (known?.isOpen === true && known.stamp === (await stampOf(path)) && known.isOpen) {
      known.use();
      return known;
    }
    const handle = await open(path, "r");
    try {
      return await this.adopt(path, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Notes that a piece is in use, and forgets those that rest longest. */
  keep(piece: Piece, file: CachedFile): void {
    this.pieces.delete(piece);
    this.pieces.set(piece, file);
    if (this.pieces.size <= MAX_PIECES) return;
    for (const [oldest, owner] of this.pieces) {
      this.pieces.delete(oldest);
      owner.forget(oldest);
      return;
    }
  }

  /** A file that was written to while it was read, or that another took the place of. */
  drop(file: CachedFile): void {
    if (this.files.get(file.path) === file) this.files.delete(file.path);
    for (const piece of file.heldPieces()) this.pieces.delete(piece);
  }

  private async adopt(path: string, handle: FileHandle): Promise<CachedFile> {
    const stats = await handle.stat({ bigint: true });
    const stamp = stampText(stats);
    const known = this.files.get(path);
    if (known?.stamp === stamp) {
      if (known.isOpen) await handle.close();
      else known.reopen(handle);
      known.use();
      return known;
    }
    if (known !== undefined) this.drop(known);
    const file = new CachedFile(this, path, stamp, Number(stats.size), handle);
    this.files.delete(path);
    this.files.set(path, file);
    this.forgetIdleFiles();
    file.use();
    return file;
  }

  private forgetIdleFiles(): void {
    if (this.files.size <= MAX_IDLE_FILES) return;
    for (const file of this.files.values()) {
      if (file.isOpen) continue;
      this.drop(file);
      return;
    }
  }
}

interface Piece {
  readonly index: number;
  readonly bytes: Uint8Array;
}

export class CachedFile {
  readonly path: string;
  /** Differs when the file was replaced or written to. */
  readonly stamp: string;
  readonly sizeBytes: number;
  private readonly cache: FileCache;
  private readonly pieces = new Map<number, Piece>();
  private readonly loading = new Map<number, Promise<Uint8Array>>();
  private handle: FileHandle | undefined;
  private users = 0;

  constructor(cache: FileCache, path: string, stamp: string, sizeBytes: number, handle: FileHandle) {
    this.cache = cache;
    this.path = path;
    this.stamp = stamp;
    this.sizeBytes = sizeBytes;
    this.handle = handle;
  }

  get isOpen(): boolean {
    return this.handle !== undefined;
  }

  use(): void {
    this.users++;
  }

  reopen(handle: FileHandle): void {
    this.handle = handle;
  }

  /** The last user's release closes the file; its pieces stay for the next. */
  async release(): Promise<void> {
    this.users--;
    if (this.users > 0) return;
    const { handle } = this;
    this.handle = undefined;
    await Promise.allSettled(this.loading.values());
    await handle?.close();
  }

  /** @param index of a piece, from 0 @returns undefined when it must be loaded first */
  held(index: number): Uint8Array | undefined {
    const piece = this.pieces.get(index);
    if (piece === undefined) return undefined;
    this.cache.keep(piece, this);
    return piece.bytes;
  }

  /** Reads a piece once, however many ask for it. @throws when the file was written to meanwhile */
  load(index: number): Promise<Uint8Array> {
    const running = this.loading.get(index);
    if (running !== undefined) return running;
    const loading = this.read(index).finally(() => this.loading.delete(index));
    this.loading.set(index, loading);
    return loading;
  }

  forget(piece: Piece): void {
    this.pieces.delete(piece.index);
  }

  heldPieces(): Iterable<Piece> {
    return this.pieces.values();
  }

  private async read(index: number): Promise<Uint8Array> {
    const { handle } = this;
    if (handle === undefined) throw new Error(`${this.path} is closed`);
    const start = index * PIECE_BYTES;
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(PIECE_BYTES, this.sizeBytes - start)));
    for (let filled = 0; filled < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    // A loader of which half is old and half is new would hang a machine without a word.
    if (stampText(await handle.stat({ bigint: true })) !== this.stamp) {
      this.cache.drop(this);
      throw new Error(`${this.path} was written to while it was sent`);
    }
    const piece: Piece = { index, bytes };
    this.pieces.set(index, piece);
    this.cache.keep(piece, this);
    return bytes;
  }
}

interface Stats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

async function stampOf(path: string): Promise<string> {
  return stampText(await stat(path, { bigint: true }));
}

function stampText({ dev, ino, size, mtimeNs }: Stats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}
