import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError } from "../../../src/core/errors.ts";
import { readHexCapture, writeHexCapture } from "./hex-capture.ts";
import { type CapturedFrame, readCapture } from "./read-capture.ts";
import { writeCapture } from "./write-capture.ts";

const FRAME = Uint8Array.of(1, 2, 3, 4, 5);
/** 2001-09-09 01:46:40.123456789 UTC */
const AT = 1_000_000_000_123_456_789n;

/** A classic file of one frame, in any of its four forms. */
function classic(littleEndian: boolean, magic: number, fraction: number): Uint8Array {
  const bytes = Buffer.alloc(24 + 16 + FRAME.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(0, magic, littleEndian);
  view.setUint32(20, 1, littleEndian);
  view.setUint32(24, 1_000_000_000, littleEndian);
  view.setUint32(28, fraction, littleEndian);
  view.setUint32(32, FRAME.length, littleEndian);
  view.setUint32(36, 60, littleEndian);
  bytes.set(FRAME, 40);
  return bytes;
}

/** One pcapng block: type, length, body, length. */
function block(littleEndian: boolean, type: number, body: Uint8Array): Uint8Array {
  const length = 12 + body.length;
  const bytes = Buffer.alloc(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  view.setUint32(0, type, littleEndian);
  view.setUint32(4, length, littleEndian);
  bytes.set(body, 8);
  view.setUint32(length - 4, length, littleEndian);
  return bytes;
}

function words(littleEndian: boolean, ...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    if (littleEndian) bytes.writeUInt32LE(value, index * 4);
    else bytes.writeUInt32BE(value, index * 4);
  });
  return bytes;
}

/** Section, an interface with nanoseconds, a block that nobody knows, an enhanced and a simple packet. */
function blocks(littleEndian: boolean): Uint8Array {
  const w = (...values: number[]) => words(littleEndian, ...values);
  const padded = Buffer.concat([FRAME, Buffer.alloc(3)]);
  const resolution = littleEndian ? [9, 0, 1, 0, 9, 0, 0, 0] : [0, 9, 0, 1, 9, 0, 0, 0];
  const linkType = littleEndian ? [1, 0, 0, 0] : [0, 1, 0, 0];
  const high = Number(AT >> 32n);
  const low = Number(AT & 0xffffffffn);
  return Buffer.concat([
    block(littleEndian, 0x0a0d0d0a, w(0x1a2b3c4d, 0x00010000, 0xffffffff, 0xffffffff)),
    block(littleEndian, 1, Buffer.concat([Buffer.from(linkType), w(3), Buffer.from(resolution), w(0)])),
    block(littleEndian, 0x0bad, w(1, 2)),
    block(littleEndian, 6, Buffer.concat([w(0, high, low, FRAME.length, 60), padded])),
    block(littleEndian, 3, Buffer.concat([w(60), Buffer.from([1, 2, 3, 0])])),
  ]);
}

describe("readCapture()", () => {
  it.each([
    ["little-endian, microseconds", true, 0xa1b2c3d4, 123_456, 123_456_000n],
    ["big-endian, microseconds", false, 0xa1b2c3d4, 123_456, 123_456_000n],
    ["little-endian, nanoseconds", true, 0xa1b23c4d, 123_456_789, 123_456_789n],
    ["big-endian, nanoseconds", false, 0xa1b23c4d, 123_456_789, 123_456_789n],
  ])("reads classic pcap: %s", (_name, littleEndian, magic, fraction, nanoseconds) => {
    expect(readCapture(classic(littleEndian, magic, fraction))).toEqual([
      { linkType: 1, bytes: FRAME, originalBytes: 60, at: 1_000_000_000_000_000_000n + nanoseconds },
    ]);
  });

  it.each([true, false])(
    "reads pcapng (little-endian: %s), and steps over blocks that it does not know",
    little => {
      expect(readCapture(blocks(little))).toEqual([
        { linkType: 1, bytes: FRAME, originalBytes: 60, at: AT },
        { linkType: 1, bytes: FRAME.slice(0, 3), originalBytes: 60, at: null },
      ]);
    },
  );

  it("reads what writeCapture() wrote", () => {
    const frames: CapturedFrame[] = [
      { linkType: 101, bytes: FRAME, originalBytes: 5, at: 1_000_000n },
      { linkType: 101, bytes: new Uint8Array(), originalBytes: 0, at: 5_000_000_000n },
    ];
    expect(readCapture(writeCapture(frames))).toEqual(frames);
  });

  it.each([
    ["nothing", new Uint8Array(), "capture ends at offset 0, within its magic number"],
    ["another file", Buffer.from("#!/bin/sh\n"), "0x23212f62 at offset 0 is no capture's magic number"],
    [
      "a header cut short",
      classic(true, 0xa1b2c3d4, 0).subarray(0, 20),
      "ends at offset 20, within its header",
    ],
    [
      "a record cut in its header",
      classic(true, 0xa1b2c3d4, 0).subarray(0, 30),
      "record 1 at offset 24 ends within",
    ],
    [
      "a record cut in its frame",
      classic(true, 0xa1b2c3d4, 0).subarray(0, 43),
      "claims 5 bytes at offset 40; 3 remain",
    ],
    ["a block cut short", blocks(true).subarray(0, -1), "claims 20 bytes; 19 remain"],
    ["a section without byte order", Buffer.from("0a0d0d0a".repeat(4), "hex"), "no byte-order magic"],
    [
      "a packet of an interface that is not there",
      Buffer.concat([blocks(true).subarray(0, 28), block(true, 6, words(true, 7, 0, 0, 0, 0))]),
      "packet 1 is of interface 7; 0 are described",
    ],
  ])("names what is wrong with %s", (_name, file, message) => {
    expect(() => readCapture(file)).toThrow(DecodeError);
    expect(() => readCapture(file)).toThrow(message);
  });

  it("claims no memory for a frame of four gigabytes", () => {
    const file = Buffer.from(classic(true, 0xa1b2c3d4, 0));
    file.writeUInt32LE(0xffffffff, 32);
    expect(() => readCapture(file)).toThrow(
      "record 1 claims 4294967295 bytes at offset 40; at most 262144 are read",
    );
  });

  it("gives frames or a DecodeError for a file that was cut or changed anywhere", () => {
    for (const whole of [classic(true, 0xa1b2c3d4, 0), blocks(true), blocks(false)]) {
      for (let length = 0; length < whole.length; length++)
        expectFramesOrDecodeError(whole.subarray(0, length));
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }), changes => {
          const file = Buffer.from(whole);
          for (const [offset, value] of changes) file[offset] = value;
          expectFramesOrDecodeError(file);
        }),
      );
    }
  });
});

describe("readHexCapture()", () => {
  it("reads back what writeHexCapture() wrote, with its link type", () => {
    const frames: CapturedFrame[] = [new Uint8Array(100).fill(7), FRAME].map(bytes => ({
      linkType: 101,
      bytes,
      originalBytes: bytes.length,
      at: null,
    }));
    expect(readHexCapture(writeHexCapture(["made up", "link type: raw"], frames))).toEqual(frames);
  });

  it("names the line that is no hexadecimal", () => {
    expect(() => readHexCapture("# made up\n\n0102\nxyz\n")).toThrow("line 4 holds no whole bytes");
  });
});

function expectFramesOrDecodeError(file: Uint8Array): void {
  try {
    readCapture(file);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}
