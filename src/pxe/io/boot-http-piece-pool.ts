/** The buffers that all transfers read files into: used again, of one size at a time, bounded for all of them together. */
import { choosePieceBytes, MAX_PIECE_BYTES } from "../http-piece-size.ts";

/** Buffers that wait for the next piece; more than these go back to the system when a rush is over. */
const MAX_FREE_BYTES = 16 * 1024 * 1024;

export class PiecePool {
  #pieceBytes = MAX_PIECE_BYTES;
  #transfers = 0;
  #free: Buffer[] = [];

  /** One more transfer, until it is disposed of. */
  join(): Disposable {
    this.#transfers++;
    this.#resize();
    return {
      [Symbol.dispose]: () => {
        this.#transfers--;
        this.#resize();
      },
    };
  }

  /** Of the size of the moment. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#pieceBytes);
  }

  /** @param buffer taken before, and written whole: nobody may still read from it */
  giveBack(buffer: Buffer): void {
    const freeBytes = (this.#free.length + 1) * this.#pieceBytes;
    if (buffer.length === this.#pieceBytes && freeBytes <= MAX_FREE_BYTES) this.#free.push(buffer);
  }

  #resize(): void {
    const pieceBytes = choosePieceBytes(this.#pieceBytes, this.#transfers);
    if (pieceBytes !== this.#pieceBytes) this.#free = [];
    this.#pieceBytes = pieceBytes;
  }
}
