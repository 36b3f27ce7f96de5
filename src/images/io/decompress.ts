/**
 * Decompresses gzip, xz and zstd as they stream by, to their very end: what is cut short, or has something else behind it, is
 * an error with its offset. Memory is bounded by the formats' windows; the output by what an image can hold.
 */
import { createGunzip, createZstdDecompress } from "node:zlib";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { Compression } from "../compression.ts";
import { CHUNK_BYTES, MAX_CHUNKS } from "../manifest.ts";
import { readXz } from "./xz.ts";

/** No image could hold more. A ratio is no test: a disk of zeros rightly shrinks ten thousand times. */
const MAX_OUTPUT_BYTES = CHUNK_BYTES * MAX_CHUNKS;
/** node:zlib goes to its thread pool and back for each step. */
const STEP_BYTES = 256 * 1024;

/**
 * @param source given up at its end, and after an error
 * @param name of the file, for errors
 * @throws {DrpError} input.unreadable with the offset; tool.missing without `xz`; what the source throws
 */
export async function* decompressing(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  name: string,
  limitBytes = MAX_OUTPUT_BYTES,
): AsyncGenerator<Buffer, void, void> {
  let outputBytes = 0;
  const pieces = compression === "xz" ? readXz(source, name) : readZlib(source, compression, name);
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
  compression: "gzip" | "zstd",
  name: string,
): AsyncGenerator<Buffer, void, void> {
  const input = new Input(source);
  try {
    do yield* readMembers(input, compression, name);
    while (!input.isAtEnd);
  } finally {
    await input.close();
  }
}

async function* readMembers(
  input: Input,
  compression: "gzip" | "zstd",
  name: string,
): AsyncGenerator<Buffer, void, void> {
  const decoder = (compression === "gzip" ? createGunzip : createZstdDecompress)({ chunkSize: STEP_BYTES });
  const startBytes = input.offsetBytes;
  const feeding = feed(decoder, input);
  try {
    for await (const piece of decoder) yield piece;
  } catch (error) {
    throw explain(error, compression, name, startBytes + decoder.bytesWritten);
  } finally {
    decoder.destroy();
    await feeding;
  }
  input.goBackTo(startBytes + decoder.bytesWritten);
}

async function feed(decoder: Decoder, input: Input): Promise<void> {
  try {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    decoder.on("close", close);
    const startBytes = input.offsetBytes;
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
function explain(error: unknown, compression: Compression, name: string, at: number): unknown {
  const refuse = (what: string, advice: string): DrpError =>
    new DrpError("input.unreadable", `${name}: ${what}`, {
      advice,
      facts: { offsetBytes: at },
      cause: error,
    });
  const copy = "Copy or download it again, and compare its checksum.";
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "Z_BUF_ERROR") return refuse(`the ${compression} data is cut short after ${at} bytes`, copy);
  if (code === "ZSTD_error_frameParameter_windowTooLarge") {
    return refuse(
      `the zstd frame at byte ${at} needs more than 128 MiB of memory`,
      "Compress it again with at most --long=27.",
    );
  }
  if (code.startsWith("Z_") || code.startsWith("ZSTD_")) {
    return refuse(`what stands at byte ${at} is not ${compression} data, or is damaged`, copy);
  }
  return error;
}
