/**
 * Whether two files hold the same bytes. What lies at the same place of equal chunks is equal unread; the rest is read and
 * compared, piece by piece.
 */
import { isZeroChunk } from "../chunker.ts";
import type { Inode } from "../ext4-reader/inode.ts";
import type { Ext4Volume } from "../ext4-reader/volume.ts";
import { CHUNK_BYTES } from "../manifest.ts";
import type { ImageBytes } from "./image-bytes.ts";

/** One of the two images that are compared. */
export interface Side {
  readonly bytes: ImageBytes;
  readonly volume: Ext4Volume;
}

/** Both files' bytes from `logical` on; a null offset is a hole, or memory that was reserved and never written. */
interface Stretch {
  readonly before: number | null;
  readonly after: number | null;
  readonly length: number;
}

/**
 * @param before of the same size as `after`
 * @param mayRead false: give up where only reading would tell
 * @returns undefined where reading would tell and was not allowed
 */
export async function equalContent(
  sides: readonly [before: Side, after: Side],
  before: Inode,
  after: Inode,
  mayRead: boolean,
): Promise<boolean | undefined> {
  for await (const stretch of stretches(sides, before, after)) {
    for (const piece of cutAtChunks(stretch)) {
      if (isKnownEqual(sides, piece)) continue;
      if (!mayRead) return undefined;
      if (!(await isEqualRead(sides, piece))) return false;
    }
  }
  return true;
}

interface Span {
  readonly start: number;
  readonly end: number;
  /** Of the image. */
  readonly offset: number;
}

async function* stretches(
  [one, other]: readonly [Side, Side],
  before: Inode,
  after: Inode,
): AsyncGenerator<Stretch, void, void> {
  const left = new SpanReader(one.volume, before);
  const right = new SpanReader(other.volume, after);
  for (let at = 0; at < before.sizeBytes; ) {
    const a = await left.from(at);
    const b = await right.from(at);
    const end = Math.min(before.sizeBytes, borderAfter(at, a), borderAfter(at, b));
    yield { before: offsetAt(at, a), after: offsetAt(at, b), length: end - at };
    at = end;
  }
}

/** Gives the span that holds a position, or the next one after it; positions only rise. */
class SpanReader {
  readonly #runs: ReturnType<Ext4Volume["runs"]>;
  readonly #blockBytes: number;
  #span: Span | undefined = { start: 0, end: 0, offset: 0 };

  constructor(volume: Ext4Volume, inode: Inode) {
    this.#runs = volume.runs(inode);
    this.#blockBytes = volume.blockBytes;
  }

  async from(position: number): Promise<Span | undefined> {
    while (this.#span !== undefined && this.#span.end <= position) this.#span = await this.#next();
    return this.#span;
  }

  async #next(): Promise<Span | undefined> {
    const next = await this.#runs.next();
    if (next.done === true) return undefined;
    const { logical, physical, count } = next.value;
    const start = logical * this.#blockBytes;
    return { start, end: start + count * this.#blockBytes, offset: physical * this.#blockBytes };
  }
}

function borderAfter(at: number, span: Span | undefined): number {
  if (span === undefined) return Number.POSITIVE_INFINITY;
  return span.start > at ? span.start : span.end;
}

function offsetAt(at: number, span: Span | undefined): number | null {
  return span === undefined || span.start > at ? null : span.offset + at - span.start;
}

function* cutAtChunks({ before, after, length }: Stretch): Generator<Stretch, void, void> {
  if (before === null && after === null) return;
  const at = (offset: number | null, done: number) => (offset === null ? null : offset + done);
  for (let done = 0; done < length; ) {
    const rooms = [before, after].map(offset =>
      offset === null ? CHUNK_BYTES : CHUNK_BYTES - ((offset + done) % CHUNK_BYTES),
    );
    const piece = Math.min(length - done, ...rooms);
    yield { before: at(before, done), after: at(after, done), length: piece };
    done += piece;
  }
}

function isKnownEqual([one, other]: readonly [Side, Side], { before, after }: Stretch): boolean {
  const left = before === null ? null : one.bytes.digestAt(before);
  const right = after === null ? null : other.bytes.digestAt(after);
  if (left === null || right === null) return left === right;
  return left === right && (before ?? 0) % CHUNK_BYTES === (after ?? 0) % CHUNK_BYTES;
}

async function isEqualRead(
  [one, other]: readonly [Side, Side],
  { before, after, length }: Stretch,
): Promise<boolean> {
  const left = before === null ? null : await one.bytes.read(before, length);
  const right = after === null ? null : await other.bytes.read(after, length);
  if (left !== null && right !== null) return left.equals(right);
  return isZeroChunk(left ?? right ?? Buffer.alloc(0));
}
