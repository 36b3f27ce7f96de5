import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src/core/errors.ts";
import { decodeTftp, encodeDataHeader } from "../../src/pxe/tftp-packet.ts";

describe("decodeTftp()", () => {
  const request = (text: string) => Buffer.from(`\0\x01${text}`, "latin1");

  it("reads a request and its options, in any case (RFC 2347)", () => {
    expect(decodeTftp(request("boot/ipxe.efi\0OCTET\0BlkSize\x001428\0tsize\x000\0"))).toEqual({
      kind: "read",
      fileName: "boot/ipxe.efi",
      mode: "octet",
      options: new Map([
        ["blksize", "1428"],
        ["tsize", "0"],
      ]),
    });
  });

  it("forgives what ROMs leave behind the last string, and an option without a value", () => {
    expect(decodeTftp(request("a\0octet\0\xff\xff"))).toMatchObject({ fileName: "a", mode: "octet" });
    expect(decodeTftp(request("a\0octet\0tsize\0"))).toMatchObject({ options: new Map() });
    const zeros = decodeTftp(request("a\0octet\0\0\0blksize\x00 1432 \0\0\0\0"));
    expect(zeros).toMatchObject({ options: new Map([["blksize", "1432"]]) });
  });

  it("takes the first of two equal options, and no more than 32", () => {
    expect(decodeTftp(request("a\0octet\0blksize\x00512\0BLKSIZE\x001428\0"))).toMatchObject({
      options: new Map([["blksize", "512"]]),
    });
    const many = Array.from({ length: 100 }, (_, index) => `o${index}\0v\0`).join("");
    expect(decodeTftp(request(`a\0octet\0${many}`))).toHaveProperty("options.size", 32);
  });

  it("reads an acknowledgement with bytes behind it, as some ROMs pad", () => {
    expect(decodeTftp(Uint8Array.of(0, 4, 0xff, 0xfe, 0, 0))).toEqual({ kind: "ack", block: 0xfffe });
  });

  it("throws nothing but DecodeError, cut anywhere or random", () => {
    const whole = request("file\0octet\0blksize\x001428\0");
    const cuts = Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length));
    for (const bytes of cuts) expectPacketOrDecodeError(bytes);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), expectPacketOrDecodeError));
    const opcode = fc.integer({ min: 0, max: 8 });
    fc.assert(
      fc.property(opcode, fc.uint8Array({ maxLength: 40 }), (code, rest) => {
        expectPacketOrDecodeError(Uint8Array.of(0, code, ...rest));
      }),
    );
  });
});

function expectPacketOrDecodeError(bytes: Uint8Array): void {
  try {
    decodeTftp(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}

describe("encodeDataHeader()", () => {
  it.each([
    [1, [0, 3, 0, 1]],
    [65_535, [0, 3, 255, 255]],
    [65_536, [0, 3, 0, 0]],
    [131_073, [0, 3, 0, 1]],
  ])("numbers block %i by its lower 16 bits", (block, bytes) => {
    expect([...encodeDataHeader(block)]).toEqual(bytes);
  });
});
