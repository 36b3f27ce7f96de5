/** Takes exact counts of bytes out of a stream, however it was cut, and knows how far it is. */

export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Buffer = Buffer.alloc(0);
  #offsetBytes = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Of the next byte, from the stream's start. */
  get offsetBytes(): number {
    return this.#offsetBytes;
  }

  /** @returns fewer bytes only at the stream's end; valid until the next call */
  async take(count: number): Promise<Buffer> {
    if (this.#piece.length >= count) return this.#cut(count);
    const parts: Buffer[] = [];
    for await (const part of this.pieces(count)) parts.push(part);
    return Buffer.concat(parts);
  }

  /** The next `count` bytes as they come; fewer only at the stream's end. */
  async *pieces(count: number): AsyncGenerator<Buffer, void, void> {
    for (let left = count; left > 0; ) {
      if (this.#piece.length === 0 && !(await this.#refill())) return;
      const part = this.#cut(Math.min(left, this.#piece.length));
      left -= part.length;
      yield part;
    }
  }

  /** Lets whoever feeds the stream come to its end. */
  async drain(): Promise<void> {
    do this.#cut(this.#piece.length);
    while (await this.#refill());
  }

  /** Gives the source up, at its end or before. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #cut(count: number): Buffer {
    const part = this.#piece.subarray(0, count);
    this.#piece = this.#piece.subarray(count);
    this.#offsetBytes += count;
    return part;
  }

  async #refill(): Promise<boolean> {
    const step = await this.#source.next();
    if (step.done === true) return false;
    this.#piece = Buffer.from(step.value.buffer, step.value.byteOffset, step.value.byteLength);
    return true;
  }
}
