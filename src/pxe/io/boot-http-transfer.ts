/**
 * Sends a part of an open file as the body of an answer, piece by piece: one is on its way, and with few transfers the next is
 * read meanwhile. Neither a slow reader nor a fast one makes it hold more than these two.
 */
import type { FileHandle } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { describeErrorChain } from "../../core/errors.ts";
import type { PiecePool } from "./boot-http-piece-pool.ts";

export interface TransferEnd {
  /** Given to the network; the machine may have seen less. */
  readonly doneBytes: number;
  /** Why it was broken off; null: it is whole. */
  readonly problem: string | null;
}

export interface TransferOptions {
  /** Both ends belong to it. */
  readonly first: number;
  readonly last: number;
  readonly pool: PiecePool;
  /** A piece that is not taken within this time ends the transfer. */
  readonly pieceMs: number;
  /** Asked before the last piece leaves, so that a client never takes a mixture of two versions for whole. */
  readonly changed: () => Promise<boolean>;
}

/** The headers are written already; the caller ends the response, or breaks the connection where there is a problem. */
export async function sendPieces(
  response: ServerResponse,
  file: FileHandle,
  { first, last, pool, pieceMs, changed }: TransferOptions,
): Promise<TransferEnd> {
  using _membership = pool.join();
  let doneBytes = 0;
  let ahead: Promise<Piece> | undefined;
  try {
    for (let offset = first; offset <= last; ) {
      const { buffer, bytes } = await (ahead ?? readPiece(file, offset, last, pool));
      ahead = undefined;
      if (bytes === 0) return { doneBytes, problem: `the file ends at byte ${offset} now` };
      offset += bytes;
      ahead = offset <= last && pool.readsAhead ? readPiece(file, offset, last, pool) : undefined;
      // It is awaited in the next round; until then a failure is not an unhandled one.
      ahead?.catch(() => {});
      if (offset > last && (await changed())) return { doneBytes, problem: "the file was changed meanwhile" };
      const written = await writePiece(response, buffer.subarray(0, bytes), pieceMs);
      // A piece that is not taken yet is still the kernel's to read.
      if (written === "stalled") {
        return { doneBytes, problem: `the machine took less than ${bytes} bytes in ${pieceMs / 1000} s` };
      }
      pool.giveBack(buffer);
      if (written === "gone") return { doneBytes, problem: "the machine closed the connection" };
      doneBytes += bytes;
    }
    return { doneBytes, problem: null };
  } catch (error) {
    return { doneBytes, problem: `the file cannot be read: ${describeErrorChain(error)}` };
  } finally {
    // Left over where the transfer was broken off.
    void ahead?.then(
      ({ buffer }) => pool.giveBack(buffer),
      () => {},
    );
  }
}

interface Piece {
  readonly buffer: Buffer<ArrayBuffer>;
  readonly bytes: number;
}

async function readPiece(file: FileHandle, offset: number, last: number, pool: PiecePool): Promise<Piece> {
  const buffer = pool.take();
  const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, last - offset + 1), offset);
  return { buffer, bytes: bytesRead };
}

/** @returns "taken" once the kernel has copied all of it, "gone" once the connection is closed: nobody reads it any more */
function writePiece(
  response: ServerResponse,
  bytes: Uint8Array,
  withinMs: number,
): Promise<"taken" | "gone" | "stalled"> {
  const { promise, resolve } = Promise.withResolvers<"taken" | "gone" | "stalled">();
  const settle = (how: "taken" | "gone" | "stalled") => {
    clearTimeout(deadline);
    response.off("close", gone);
    resolve(how);
  };
  const gone = () => settle("gone");
  const deadline = setTimeout(() => settle("stalled"), withinMs);
  response.once("close", gone);
  if (response.closed) gone();
  else {
    response.write(bytes, error => {
      // After an error "close" follows.
      if (!error) settle("taken");
    });
  }
  return promise;
}
