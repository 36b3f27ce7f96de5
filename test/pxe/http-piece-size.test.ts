import { describe, expect, it } from "vitest";
import {
  choosePieceBytes,
  MAX_PIECE_BYTES,
  mayReadAhead,
  TRANSFER_MEMORY_BYTES,
} from "../../src/pxe/http-piece-size.ts";

const KIB = 1024;
const pieceBytesAt = (transfers: number) => choosePieceBytes(MAX_PIECE_BYTES, transfers);

describe("choosePieceBytes()", () => {
  it.each([
    [1, 512 * KIB],
    [50, 512 * KIB],
    [64, 512 * KIB],
    [65, 256 * KIB],
    [500, 64 * KIB],
    [4096, 8 * KIB],
  ])("gives each of %d transfers %d bytes at a time", (transfers, pieceBytes) => {
    expect(pieceBytesAt(transfers)).toBe(pieceBytes);
  });

  it("holds no more than its memory, at any number of connections, with what is read ahead", () => {
    for (let transfers = 1; transfers <= 4096; transfers++) {
      const pieces = mayReadAhead(transfers) ? 2 : 1;
      expect(pieces * pieceBytesAt(transfers) * transfers).toBeLessThanOrEqual(TRANSFER_MEMORY_BYTES);
    }
  });

  it("does not change back and forth when one transfer more comes and goes", () => {
    const smaller = choosePieceBytes(MAX_PIECE_BYTES, 65);
    expect(choosePieceBytes(smaller, 64)).toBe(smaller);
    expect(choosePieceBytes(smaller, 32)).toBe(MAX_PIECE_BYTES);
  });
});
