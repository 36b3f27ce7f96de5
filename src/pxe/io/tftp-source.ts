/** The bytes of one transfer, block after block: at once where they are in memory, else after a read. */
import type { TftpFile } from "../boot-desk.ts";
import { type CachedFile, type FileCache, PIECE_BYTES } from "./tftp-file-cache.ts";

export interface BlockSource {
  readonly sizeBytes: number;
  /** @returns undefined when load() must come first */
  held(offsetBytes: number, lengthBytes: number): Uint8Array | undefined;
  /** Afterwards held() has these bytes. @throws when the file cannot be read */
  load(offsetBytes: number, lengthBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** @throws what the file system says */
export async function openSource(file: TftpFile, cache: FileCache): Promise<BlockSource> {
  if (file.kind === "content") return new ContentSource(file.bytes);
  return new FileSource(await cache.open(file.path));
}

class ContentSource implements BlockSource {
  readonly sizeBytes: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  held(offsetBytes: number, lengthBytes: number): Uint8Array {
    return this.bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  }

  async load(): Promise<void> {}

  async close(): Promise<void> {}
}

/** Holds the piece that is being sent and the one before or behind it, for the block that lies across both. */
class FileSource implements BlockSource {
  readonly sizeBytes: number;
  private readonly file: CachedFile;
  private index = -1;
  private bytes: Uint8Array = new Uint8Array();
  private otherIndex = -1;
  private otherBytes: Uint8Array = this.bytes;

  constructor(file: CachedFile) {
    this.file = file;
    this.sizeBytes = file.sizeBytes;
  }

  held(offsetBytes: number, lengthBytes: number): Uint8Array | undefined {
    const start = offsetBytes - this.index * PIECE_BYTES;
    if (start >= 0 && start + lengthBytes <= this.bytes.length) {
      return this.bytes.subarray(start, start + lengthBytes);
    }
    return this.heldElsewhere(offsetBytes, lengthBytes);
  }

  async load(offsetBytes: number, lengthBytes: number): Promise<void> {
    const first = Math.floor(offsetBytes / PIECE_BYTES);
    this.hold(first, this.file.held(first) ?? (await this.file.load(first)));
    const last = lastPiece(offsetBytes, lengthBytes);
    if (last !== first) this.hold(last, this.file.held(last) ?? (await this.file.load(last)));
  }

  async close(): Promise<void> {
    await this.file.release();
  }

  private heldElsewhere(offsetBytes: number, lengthBytes: number): Uint8Array | undefined {
    const first = Math.floor(offsetBytes / PIECE_BYTES);
    const head = this.piece(first);
    if (head === undefined) return undefined;
    const last = lastPiece(offsetBytes, lengthBytes);
    const start = offsetBytes - first * PIECE_BYTES;
    if (last === first) return head.subarray(start, start + lengthBytes);
    const tail = this.piece(last);
    if (tail === undefined) return undefined;
    return Buffer.concat([
      head.subarray(start),
      tail.subarray(0, offsetBytes + lengthBytes - last * PIECE_BYTES),
    ]);
  }

  private piece(index: number): Uint8Array | undefined {
    if (index === this.index) return this.bytes;
    const bytes = index === this.otherIndex ? this.otherBytes : this.file.held(index);
    if (bytes !== undefined) this.hold(index, bytes);
    return bytes;
  }

  /** Makes a piece the present one and has the next one read, so that the sending seldom waits for it. */
  private hold(index: number, bytes: Uint8Array): void {
    if (index === this.index) return;
    [this.otherIndex, this.otherBytes] = [this.index, this.bytes];
    [this.index, this.bytes] = [index, bytes];
    const next = index + 1;
    if (next * PIECE_BYTES >= this.sizeBytes || this.file.held(next) !== undefined) return;
    // Its failure is told to whoever needs the piece: load() then reads it again.
    this.file.load(next).catch(() => {});
  }
}

/** An empty block at the end of a piece belongs to no further one. */
function lastPiece(offsetBytes: number, lengthBytes: number): number {
  return Math.floor((offsetBytes + Math.max(lengthBytes, 1) - 1) / PIECE_BYTES);
}
