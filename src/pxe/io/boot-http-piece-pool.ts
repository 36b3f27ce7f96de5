/** The buffers that all transfers read files into: used again, of one size at a time, bounded for all of them together. */
import { choosePieceBytes, MAX_PIECE_BYTES, mayReadAhead } from "../http-piece-size.ts";

/** Buffers that wait for the next piece; more than these go back to the system when a rush is over. */
const MAX_FREE_BYTES = 8 * 1024 * 1024;

export class PiecePool {
  #pieceBytes = MAX_PIECE_BYTES;
  #transfers = 0;
  #free: Buffer<ArrayBuffer>[] = [];

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

  get readsAhead(): boolean {
    return mayReadAhead(this.#transfers);
  }

  /** Of the size of the moment. */
  take(): Buffer<ArrayBuffer> {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#pieceBytes);
  }

  /** @param buffer taken before, and written whole: nobody may still read from it */
  giveBack(buffer: Buffer<ArrayBuffer>): void {
    const freeBytes = (this.#free.length + 1) * this.#pieceBytes;
    if (buffer.length === this.#pieceBytes && freeBytes <= MAX_FREE_BYTES) this.#free.push(buffer);
    else release(buffer);
  }

  #resize(): void {
    const pieceBytes = choosePieceBytes(this.#pieceBytes, this.#transfers);
    if (pieceBytes === this.#pieceBytes) return;
    for (const buffer of this.#free) release(buffer);
    this.#free = [];
    this.#pieceBytes = pieceBytes;
  }
}

/** At once: the garbage collector lets tens of megabytes gather before it looks. */
function release(buffer: Buffer<ArrayBuffer>): void {
  buffer.buffer.transfer(0);
}
