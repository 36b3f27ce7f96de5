import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { unpackStored } from "../../src/images/zstd-stored.ts";

const PLAIN = randomBytes(300_000);
/** As node:zlib packs it: blocks of 128 KiB, none of which gets smaller. */
const FRAME = zstdCompressSync(PLAIN);

describe("unpackStored()", () => {
  test("unpacks what does not compress", () => {
    const target = Buffer.alloc(PLAIN.length);
    expect(unpackStored(FRAME, target)).toBe(true);
    expect(target.equals(PLAIN)).toBe(true);
  });

  test("unpacks runs of one byte", () => {
    const plain = Buffer.concat([PLAIN, Buffer.alloc(5, 7)]);
    const frame = Buffer.from([...FRAME]);
    // The last block is no longer the last; one of 5 times the byte 7 follows.
    const lastHeader = 9 + 2 * (3 + 131_072);
    frame.writeUInt8(frame.readUInt8(lastHeader) & 0xfe, lastHeader);
    frame.writeUInt32LE(plain.length, 5);
    const target = Buffer.alloc(plain.length);
    expect(unpackStored(Buffer.concat([frame, Buffer.from([(5 << 3) | 2 | 1, 0, 0, 7])]), target)).toBe(true);
    expect(target.equals(plain)).toBe(true);
  });

  test("leaves to zstd what is compressed", () => {
    const text = Buffer.from("the same again and again ".repeat(5000));
    expect(unpackStored(zstdCompressSync(text), Buffer.alloc(text.length))).toBe(false);
  });

  test("does not take a frame that is cut, too long or of another length", () => {
    const target = Buffer.alloc(PLAIN.length);
    for (const length of [0, 4, 8, 9, 11, 12, 1000, 131_084, FRAME.length - 1]) {
      expect(unpackStored(FRAME.subarray(0, length), target)).toBe(false);
    }
    expect(unpackStored(Buffer.concat([FRAME, Buffer.from([0])]), target)).toBe(false);
    expect(unpackStored(FRAME, Buffer.alloc(PLAIN.length - 1))).toBe(false);
    expect(unpackStored(FRAME, Buffer.alloc(PLAIN.length + 1))).toBe(false);
  });
});
