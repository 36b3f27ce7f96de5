/** Streams a planned file system: what is made now, what lies in the spool, and zeros between. */
import { type FileHandle, open } from "node:fs/promises";
import type { Ext4Plan } from "../ext4-writer/plan-ext4.ts";
import type { RawRange } from "../raw-range.ts";
import type { ContentRun, FileContent } from "../tree-node.ts";

const STEP_BYTES = 1024 * 1024;
/** Small files that follow each other in the archive are mostly read together. */
const WINDOW_BYTES = 128 * 1024;

/** @returns all of the image in order; each piece is valid until the next is asked for */
export async function* readExt4Plan(plan: Ext4Plan): AsyncGenerator<RawRange, void, void> {
  await using files = new SpoolReader();
  let at = 0;
  for (const { offsetBytes, sizeBytes, bytes } of plan.pieces) {
    yield* zeros(offsetBytes - at);
    if (bytes.kind === "made") yield { kind: "data", bytes: bytes.make() };
    else yield* readContent(files, bytes.content, bytes.fromBytes, sizeBytes);
    at = offsetBytes + sizeBytes;
  }
  yield* zeros(plan.sizeBytes - at);
}

function* zeros(lengthBytes: number): Generator<RawRange, void, void> {
  if (lengthBytes > 0) yield { kind: "zeros", lengthBytes };
}

async function* readContent(
  files: SpoolReader,
  { path, runs }: FileContent,
  fromBytes: number,
  sizeBytes: number,
): AsyncGenerator<RawRange, void, void> {
  const endBytes = fromBytes + sizeBytes;
  let at = fromBytes;
  for (let index = firstRunAfter(runs, fromBytes); at < endBytes; index++) {
    const run = runs[index];
    if (run === undefined || run.offsetBytes >= endBytes) break;
    if (run.offsetBytes > at) yield* zeros(run.offsetBytes - at);
    at = Math.max(at, run.offsetBytes);
    const runEnd = Math.min(run.offsetBytes + run.sizeBytes, endBytes);
    while (at < runEnd) {
      const count = Math.min(STEP_BYTES, runEnd - at);
      const bytes = await files.read(path, run.storedAtBytes + at - run.offsetBytes, count);
      yield { kind: "data", bytes };
      at += count;
    }
  }
  yield* zeros(endBytes - at);
}

/** Index of the first run that ends behind `offsetBytes`. */
function firstRunAfter(runs: readonly ContentRun[], offsetBytes: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const run = runs[middle];
    if (run !== undefined && run.offsetBytes + run.sizeBytes <= offsetBytes) low = middle + 1;
    else high = middle;
  }
  return low;
}

class SpoolReader implements AsyncDisposable {
  readonly #files = new Map<string, FileHandle>();
  readonly #window = Buffer.alloc(WINDOW_BYTES);
  #windowPath = "";
  #windowAt = 0;
  #windowBytes = 0;

  /** @throws an error of the file system, or when the spool is shorter than was promised */
  async read(path: string, offsetBytes: number, count: number): Promise<Buffer> {
    if (count > WINDOW_BYTES) {
      const bytes = Buffer.allocUnsafe(count);
      await this.#fill(path, bytes, offsetBytes, count);
      return bytes;
    }
    const start = offsetBytes - this.#windowAt;
    if (path === this.#windowPath && start >= 0 && start + count <= this.#windowBytes) {
      return this.#window.subarray(start, start + count);
    }
    this.#windowBytes = await this.#fill(path, this.#window, offsetBytes, count);
    this.#windowPath = path;
    this.#windowAt = offsetBytes;
    return this.#window.subarray(0, count);
  }

  /** @returns how many bytes were read, at least `wanted` */
  async #fill(path: string, buffer: Buffer, offsetBytes: number, wanted: number): Promise<number> {
    const file = this.#files.get(path) ?? (await open(path));
    this.#files.set(path, file);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offsetBytes);
    if (bytesRead < wanted)
      throw new Error(`${path} ends ${wanted - bytesRead} bytes early at ${offsetBytes}`);
    return bytesRead;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }
}
