/**
 * Decompresses gzip, xz and zstd as they stream by, to their very end: what is cut short, or has something else behind it, is
 * an error with its offset. Memory is bounded by the formats' windows; the output by what an image can hold.
 */
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { Compression } from "../compression.ts";
import { CHUNK_BYTES, MAX_CHUNKS } from "../manifest.ts";
import { MAX_FRAME_HEADER_BYTES, readWindowBytes } from "../zstd-window.ts";
import { readXz } from "./xz.ts";

/** No image could hold more. A ratio is no test: a disk of zeros rightly shrinks ten thousand times. */
const MAX_OUTPUT_BYTES = CHUNK_BYTES * MAX_CHUNKS;
/** zstd's own default, 128 MiB: the most that `zstd -d` takes without being told. */
const MAX_WINDOW_LOG = 27;
/** node:zlib goes to its thread pool and back for each step. */
const STEP_BYTES = 256 * 1024;

export interface DecompressLimits {
  /** Of what comes out. */
  readonly limitBytes?: number;
  /** zstd's window, which is the decoder's memory, as a power of two; gzip's and xz's are small or told to `xz`. */
  readonly maxWindowLog?: number;
}

/**
 * @param source given up at its end, and after an error
 * @param name of the file, for errors
 * @throws {DrpError} input.unreadable with the offset; tool.missing without `xz`; what the source throws
 */
export async function* decompressing(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  name: string,
  { limitBytes = MAX_OUTPUT_BYTES, maxWindowLog = MAX_WINDOW_LOG }: DecompressLimits = {},
): AsyncGenerator<Buffer, void, void> {
  let outputBytes = 0;
  const pieces =
    compression === "xz" ? readXz(source, name) : readZlib(source, { compression, name, maxWindowLog });
  for await (const piece of pieces) {
    outputBytes += piece.length;
    if (outputBytes > limitBytes) {
      throw new DrpError(
        "input.unreadable",
        `${name} decompresses to more than ${formatBytes(limitBytes)}, the most that is taken`,
        { advice: "Look at what it holds; no image can be larger.", facts: { limitBytes } },
      );
    }
    yield piece;
  }
}

/**
 * One decoder after the other. node:zlib's zstd stream ends where a frame ends within what it was given, and drops the rest;
 * its gunzip takes zeros behind the last member for filling, and drops what follows (both seen with Node 24.21).
 */
async function* readZlib(
  source: AsyncIterable<Uint8Array>,
  reading: ZlibReading,
): AsyncGenerator<Buffer, void, void> {
  const input = new Input(source);
  try {
    do yield* readMembers(input, reading);
    while (!input.isAtEnd);
  } finally {
    await input.close();
  }
}

interface ZlibReading {
  readonly compression: "gzip" | "zstd";
  readonly name: string;
  readonly maxWindowLog: number;
}

async function* readMembers(input: Input, reading: ZlibReading): AsyncGenerator<Buffer, void, void> {
  const decoder = makeDecoder(reading);
  const startBytes = input.offsetBytes;
  const feeding = feed(decoder, input);
  try {
    for await (const piece of decoder) yield piece;
  } catch (error) {
    throw isWindowTooLarge(error)
      ? refuseWindow(error, reading, startBytes, input.head)
      : explain(error, reading, startBytes + decoder.bytesWritten);
  } finally {
    decoder.destroy();
    await feeding;
  }
  input.goBackTo(startBytes + decoder.bytesWritten);
}

function makeDecoder({ compression, maxWindowLog }: ZlibReading): Decoder {
  if (compression === "gzip") return createGunzip({ chunkSize: STEP_BYTES });
  return createZstdDecompress({
    chunkSize: STEP_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: maxWindowLog },
  });
}

async function feed(decoder: Decoder, input: Input): Promise<void> {
  try {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    decoder.on("close", close);
    const startBytes = input.offsetBytes;
    input.head = Buffer.alloc(0);
    // What it leaves of a piece is for the next decoder.
    while (startBytes + decoder.bytesWritten === input.offsetBytes) {
      const piece = await input.next();
      if (decoder.destroyed) return;
      if (piece === undefined) {
        decoder.end();
        return;
      }
      // A decoder that fails within a piece never says that it is used up.
      const { promise: used, resolve: use } = Promise.withResolvers<void>();
      decoder.write(piece, () => use());
      await Promise.race([used, closed]);
    }
  } catch (error) {
    decoder.destroy(error as Error);
  }
}

type Decoder = ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>;

/** Pieces of a stream, of which the last one can be given back in part. */
class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  #last: Uint8Array = Buffer.alloc(0);
  #rest: Uint8Array | undefined;
  #isDone = false;
  /** Of what next() gives next. */
  offsetBytes = 0;
  /** The first bytes since it was emptied. */
  head = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  get isAtEnd(): boolean {
    return this.#isDone && this.#rest === undefined;
  }

  async next(): Promise<Uint8Array | undefined> {
    const piece = this.#rest ?? (await this.#read());
    this.#rest = undefined;
    this.#last = piece ?? Buffer.alloc(0);
    this.offsetBytes += this.#last.length;
    if (this.head.length < MAX_FRAME_HEADER_BYTES) {
      const missing = this.#last.subarray(0, MAX_FRAME_HEADER_BYTES - this.head.length);
      this.head = Buffer.concat([this.head, missing]);
    }
    return piece;
  }

  /** @param offsetBytes within the last piece, or at its end */
  goBackTo(offsetBytes: number): void {
    const backBytes = this.offsetBytes - offsetBytes;
    if (backBytes === 0) return;
    this.#rest = this.#last.subarray(this.#last.length - backBytes);
    this.offsetBytes = offsetBytes;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #read(): Promise<Uint8Array | undefined> {
    const step = await this.#source.next();
    this.#isDone = step.done === true;
    return step.done === true ? undefined : step.value;
  }
}

/** @param at offset in bytes of the compressed stream */
function explain(error: unknown, { compression, name }: ZlibReading, at: number): unknown {
  const refuse = (what: string, advice: string): DrpError =>
    new DrpError("input.unreadable", `${name}: ${what}`, {
      advice,
      facts: { offsetBytes: at },
      cause: error,
    });
  const copy = "Copy or download it again, and compare its checksum.";
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "Z_BUF_ERROR") return refuse(`the ${compression} data is cut short after ${at} bytes`, copy);
  if (code.startsWith("Z_") || code.startsWith("ZSTD_")) {
    return refuse(`what stands at byte ${at} is not ${compression} data, or is damaged`, copy);
  }
  return error;
}

function isWindowTooLarge(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ZSTD_error_frameParameter_windowTooLarge";
}

/** @param head of the member that begins at `at`; a frame behind a skippable one does not show its window */
function refuseWindow(
  cause: unknown,
  { name, maxWindowLog }: ZlibReading,
  at: number,
  head: Buffer,
): DrpError {
  const windowBytes = readWindowBytes(head);
  const most = formatBytes(2 ** maxWindowLog);
  const wants =
    windowBytes === undefined
      ? `needs more than ${most} of memory`
      : `has a window of ${formatBytes(windowBytes)}, which takes that much memory; at most ${most} are given`;
  return new DrpError("input.unreadable", `${name}: the zstd frame at byte ${at} ${wants}`, {
    advice: `Compress it again with \`zstd -19\`, or with at most --long=${maxWindowLog}.`,
    facts: { offsetBytes: at, limitBytes: 2 ** maxWindowLog, windowBytes: windowBytes ?? 0 },
    cause,
  });
}
