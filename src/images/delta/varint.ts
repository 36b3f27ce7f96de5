/** Small numbers in few bytes: seven bits a byte, lowest first, the top bit says that more follow (LEB128). */
import { DecodeError } from "../../core/errors.ts";

/** 2^28 is beyond any block number: images have at most 2^24 blocks, and a sign doubles that. */
const MAX_BYTES = 4;

/** @param value a whole number below 2^28 */
export function writeVarint(out: number[], value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) out.push((rest & 0x7f) | 0x80);
  out.push(rest);
}

/** A signed number as one that is small when its size is. */
export function zigzag(value: number): number {
  return value < 0 ? -value * 2 - 1 : value * 2;
}

export class VarintReader {
  readonly #bytes: Uint8Array;
  readonly #offsetBytes: number;
  position = 0;

  /** @param offsetBytes of the bytes in their file, for messages */
  constructor(bytes: Uint8Array, offsetBytes: number) {
    this.#bytes = bytes;
    this.#offsetBytes = offsetBytes;
  }

  /** @throws {DecodeError} cut off, or longer than any number here */
  read(what: string): number {
    let value = 0;
    for (let count = 0; count < MAX_BYTES; count++) {
      const byte = this.#bytes[this.position];
      if (byte === undefined) throw this.fail(`${what} that is cut off`);
      this.position++;
      value |= (byte & 0x7f) << (7 * count);
      if (byte < 0x80) return value;
    }
    throw this.fail(`${what} of more than ${MAX_BYTES} bytes`);
  }

  readSigned(what: string): number {
    const value = this.read(what);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  fail(what: string): DecodeError {
    return new DecodeError(`the delta has ${what} at offset ${this.#offsetBytes + this.position}`);
  }
}
