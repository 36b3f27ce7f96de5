/**
 * Sends a part of an open file as the body of an answer, piece by piece: one is on its way while the next is read. Neither a
 * slow reader nor a fast one makes it hold more than these two.
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
  try {
    let next = readPiece(file, first, last, pool);
    for (let offset = first; offset <= last; ) {
      const { buffer, bytes } = await next;
      if (bytes === 0) return { doneBytes, problem: `the file ends at byte ${offset} now` };
      offset += bytes;
      if (offset <= last) {
        next = readPiece(file, offset, last, pool);
        // It is awaited in the next round; until then a failure is not an unhandled one.
        next.catch(() => {});
      } else if (await changed()) {
        return { doneBytes, problem: "the file was changed meanwhile" };
      }
      const problem = await writePiece(response, buffer.subarray(0, bytes), pieceMs);
      if (problem !== null) return { doneBytes, problem };
      doneBytes += bytes;
      pool.giveBack(buffer);
    }
    return { doneBytes, problem: null };
  } catch (error) {
    return { doneBytes, problem: `the file cannot be read: ${describeErrorChain(error)}` };
  }
}

async function readPiece(
  file: FileHandle,
  offset: number,
  last: number,
  pool: PiecePool,
): Promise<{ buffer: Buffer; bytes: number }> {
  const buffer = pool.take();
  const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, last - offset + 1), offset);
  return { buffer, bytes: bytesRead };
}

/** @returns null once the kernel has all of it; else why not */
function writePiece(response: ServerResponse, bytes: Uint8Array, withinMs: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const settle = (problem: string | null) => {
    clearTimeout(deadline);
    response.off("close", gone);
    resolve(problem);
  };
  const gone = () => settle("the machine closed the connection");
  const deadline = setTimeout(
    () => settle(`the machine took less than ${bytes.length} bytes in ${withinMs / 1000} s`),
    withinMs,
  );
  response.once("close", gone);
  if (response.destroyed) gone();
  else response.write(bytes, error => settle(error ? "the machine closed the connection" : null));
  return promise;
}
