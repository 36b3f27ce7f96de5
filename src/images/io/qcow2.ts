/** Reads a qcow2 image as the raw disk that a guest sees: one file is opened, whatever the image says. */
import { type FileHandle, open } from "node:fs/promises";
import { createInflateRaw, createZstdDecompress } from "node:zlib";
import { DecodeError, DrpError } from "../../core/errors.ts";
import { locateL2Table, mapL2Table, type Qcow2Extent } from "../qcow2-clusters.ts";
import { parseQcow2Header, QCOW2_HEAD_BYTES, type Qcow2Layout } from "../qcow2-header.ts";
import type { RawRange } from "../raw-range.ts";
import { mapInOrder } from "./task-window.ts";

export interface Qcow2Image extends AsyncDisposable {
  /** Of the raw disk. */
  readonly sizeBytes: number;
  /**
   * The whole disk, in order; may be read again.
   *
   * @throws {DrpError} input.unreadable, with the offset in bytes
   */
  ranges(): AsyncGenerator<RawRange, void, void>;
}

/** Extents read and decompressed side by side; 4 MiB of memory each at most. */
const READS_AT_ONCE = 8;
const READ_BYTES = 1024 * 1024;
const L1_ENTRY_BYTES = 8;

/**
 * @param path of a regular file
 * @throws {DrpError} input.unreadable: it cannot be read, is damaged, or is refused, with the reason
 */
export async function openQcow2(path: string): Promise<Qcow2Image> {
  const file = await openToRead(path);
  try {
    const { size } = await file.stat();
    const head = await readFully(file, 0, Math.min(QCOW2_HEAD_BYTES, size));
    const layout = parseQcow2Header(head, size);
    if (layout.kind === "refused") {
      throw new DrpError("input.unreadable", `the qcow2 image ${path} ${layout.why}`, {
        advice: layout.advice,
      });
    }
    return {
      sizeBytes: layout.sizeBytes,
      ranges: () => readRanges(file, layout, path),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw explain(error, path);
  }
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (cause) {
    throw new DrpError("input.unreadable", `cannot read ${path}`, {
      advice: "Check its path and mode.",
      cause,
    });
  }
}

async function* readRanges(
  file: FileHandle,
  layout: Qcow2Layout,
  path: string,
): AsyncGenerator<RawRange, void, void> {
  try {
    yield* mapInOrder(mapDisk(file, layout), READS_AT_ONCE, extent => readExtent(file, layout, extent));
  } catch (error) {
    throw explain(error, path);
  }
}

/** All extents of the disk, stored ones at most READ_BYTES long; one L2 table in memory at a time. */
async function* mapDisk(file: FileHandle, layout: Qcow2Layout): AsyncGenerator<Qcow2Extent, void, void> {
  const l1 = await readFully(file, layout.l1OffsetBytes, layout.l1Entries * L1_ENTRY_BYTES);
  for (let index = 0; index < layout.l1Entries; index++) {
    const l2Offset = locateL2Table(layout, index, l1.readBigUInt64BE(index * L1_ENTRY_BYTES));
    const table =
      l2Offset === undefined ? undefined : await readFully(file, l2Offset, 2 ** layout.clusterBits);
    for (const extent of mapL2Table(layout, index, table, l2Offset ?? 0)) {
      if (extent.kind === "stored") yield* cutExtent(extent);
      else yield extent;
    }
  }
}

function* cutExtent(extent: Qcow2Extent & { kind: "stored" }): Generator<Qcow2Extent, void, void> {
  for (let from = 0; from < extent.lengthBytes; from += READ_BYTES) {
    yield {
      kind: "stored",
      fileOffsetBytes: extent.fileOffsetBytes + from,
      lengthBytes: Math.min(READ_BYTES, extent.lengthBytes - from),
    };
  }
}

async function readExtent(file: FileHandle, layout: Qcow2Layout, extent: Qcow2Extent): Promise<RawRange> {
  if (extent.kind === "zeros") return extent;
  if (extent.kind === "stored") {
    return { kind: "data", bytes: await readFully(file, extent.fileOffsetBytes, extent.lengthBytes) };
  }
  const stored = await readFully(file, extent.fileOffsetBytes, extent.storedBytes);
  try {
    const cluster = await decompressCluster(stored, 2 ** layout.clusterBits, layout.compression);
    return { kind: "data", bytes: cluster.subarray(0, extent.lengthBytes) };
  } catch (cause) {
    throw new DecodeError(`byte ${extent.fileOffsetBytes}: a compressed cluster does not decompress`, {
      cause,
    });
  }
}

/**
 * Decompresses until the cluster is full: what stands behind it in the last sector is often the next cluster, cut anywhere,
 * which node:zlib's functions for whole buffers would take for a second frame.
 */
function decompressCluster(
  stored: Buffer,
  clusterBytes: number,
  compression: Qcow2Layout["compression"],
): Promise<Buffer> {
  const create = compression === "zstd" ? createZstdDecompress : createInflateRaw;
  const decoder = create({ chunkSize: clusterBytes });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const pieces: Buffer[] = [];
  let filled = 0;
  decoder.on("data", (piece: Buffer) => {
    pieces.push(piece);
    filled += piece.length;
    if (filled < clusterBytes) return;
    resolve(pieces.length === 1 ? piece : Buffer.concat(pieces));
    decoder.destroy();
  });
  decoder.on("error", reject);
  decoder.on("end", () => reject(new DecodeError(`it ends after ${filled} of ${clusterBytes} bytes`)));
  decoder.end(stored);
  return promise;
}

async function readFully(file: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  for (let filled = 0; filled < lengthBytes; ) {
    const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, offsetBytes + filled);
    if (bytesRead === 0)
      throw new DecodeError(`the file ends at byte ${offsetBytes + filled}, while it is read`);
    filled += bytesRead;
  }
  return bytes;
}

function explain(error: unknown, path: string): unknown {
  if (!(error instanceof DecodeError)) return error;
  return new DrpError("input.unreadable", `the qcow2 image ${path} is damaged`, {
    advice: "Copy it again, and compare with what its source says; qemu-img check tells more.",
    cause: error,
  });
}
