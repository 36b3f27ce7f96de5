import { execFileSync } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type Compression, recognizeCompression } from "../../src/images/compression.ts";
import { type DecompressLimits, decompressing } from "../../src/images/io/decompress.ts";
import { noise } from "./bundles.ts";

const content = Buffer.concat([
  Buffer.alloc(700_000, "words that shrink; "),
  noise(200_000, 1),
  Buffer.alloc(1_000_000),
]);

const COMPRESS: Record<Compression, (bytes: Buffer, ...flags: string[]) => Buffer> = {
  gzip: bytes => gzipSync(bytes),
  zstd: bytes => zstdCompressSync(bytes),
  xz: (bytes, ...flags) => execFileSync("xz", ["-c", ...flags], { input: bytes, maxBuffer: 1e9 }),
};
const KINDS = ["gzip", "zstd", "xz"] as const;

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, void> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

const read = (
  bytes: Buffer,
  kind: Compression,
  pieceBytes = 65_536,
  limits?: DecompressLimits,
): Promise<Buffer> => buffer(decompressing(cut(bytes, pieceBytes), kind, "some.img", limits));

describe.each(KINDS)("decompressing() %s", kind => {
  const whole = COMPRESS[kind](content);

  test.each([1000, 65_536, 1e9])("gives the content of a stream in pieces of %d bytes", async size => {
    expect(recognizeCompression(whole)).toBe(kind);
    expect((await read(whole, kind, size)).equals(content)).toBe(true);
  });

  test.each([1000, 1e9])(
    "reads what several compressors wrote one behind the other, in pieces of %d",
    async size => {
      const twice = await read(Buffer.concat([whole, COMPRESS[kind](Buffer.from("the end"))]), kind, size);
      expect(twice.equals(Buffer.concat([content, Buffer.from("the end")]))).toBe(true);
    },
  );

  test.each([1, 5, 40, 50_000])("says where a stream is cut that lacks %d bytes", async lost => {
    const kept = whole.length - lost;
    await expect(read(whole.subarray(0, kept), kind)).rejects.toMatchObject({
      code: "input.unreadable",
      message: `some.img: the ${kind} data is cut short after ${kept} bytes`,
    });
  });

  test.each([
    ["other data", Buffer.from("and more")],
    ["zeros and other data", Buffer.concat([Buffer.alloc(600), Buffer.from("and more")])],
    ["a second stream that is cut", whole.subarray(0, 60)],
  ])("refuses what stands behind the end: %s", async (_, rest) => {
    for (const size of [100, 1e9]) {
      await expect(read(Buffer.concat([whole, rest]), kind, size)).rejects.toMatchObject({
        code: "input.unreadable",
        message: expect.stringMatching(/^some\.img: .*(byte \d+|\d+ bytes)/),
      });
    }
  });

  test("refuses damage, or gives what was compressed", async () => {
    const original = noise(30_000, 4);
    const small = COMPRESS[kind](original);
    for (let at = 0; at < small.length; at += 997) {
      const damaged = Buffer.from(small);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const outcome = await read(damaged, kind).catch((error: unknown) => error);
      // gzip's header holds a time and a name that nothing checks; node's zstd writes no checksum.
      if (Buffer.isBuffer(outcome)) expect(outcome.length).toBe(original.length);
      else expect(outcome).toMatchObject({ code: "input.unreadable" });
    }
  });

  test("stops a bomb where no image could hold more", async () => {
    await expect(read(whole, kind, 65_536, { limitBytes: 1_500_000 })).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringContaining("decompresses to more than 1.4 MiB"),
    });
  });

  test("passes on why its source failed, and closes it when nobody reads on", async () => {
    let closed = 0;
    async function* failing(): AsyncGenerator<Buffer, void, void> {
      try {
        yield whole.subarray(0, 100_000);
        throw new RangeError("the network is gone");
      } finally {
        closed++;
      }
    }
    await expect(buffer(decompressing(failing(), kind, "some.img"))).rejects.toThrow("the network is gone");
    async function* endless(): AsyncGenerator<Buffer, void, void> {
      try {
        for (;;) yield whole;
      } finally {
        closed++;
      }
    }
    for await (const _ of decompressing(endless(), kind, "some.img")) break;
    await expect.poll(() => closed).toBe(2);
  });
});

test("decompressing() xz does not depend on what xz is told by the environment", async () => {
  const compressed = COMPRESS.xz(content, "-9");
  process.env.XZ_OPT = "--memlimit=1KiB";
  try {
    expect((await read(compressed, "xz")).equals(content)).toBe(true);
  } finally {
    delete process.env.XZ_OPT;
  }
});

/** A frame header alone: magic, no single segment, a window of 2^log (RFC 8878 §3.1.1.1.2), then an empty block. */
const frameOfWindow = (log: number, eighths = 0) =>
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, ((log - 10) << 3) | eighths, 0x01, 0x00, 0x00]);

test.each([1, 1e9])(
  "decompressing() zstd says which window is too large, read %d bytes at once",
  async size => {
    await expect(read(frameOfWindow(29), "zstd", size)).rejects.toMatchObject({
      code: "input.unreadable",
      message:
        "some.img: the zstd frame at byte 0 has a window of 512 MiB, which takes that much memory; at most 128 MiB are given",
      advice: "Compress it again with `zstd -19`, or with at most --long=27.",
    });
    expect(await read(frameOfWindow(27), "zstd", size)).toEqual(Buffer.alloc(0));
  },
);

test("decompressing() zstd takes no larger window than its caller gives memory for", async () => {
  const limits = { maxWindowLog: 25 };
  expect(await read(frameOfWindow(25), "zstd", 1e9, limits)).toEqual(Buffer.alloc(0));
  const small = zstdCompressSync(content);
  const second = read(Buffer.concat([small, frameOfWindow(25, 1)]), "zstd", 1000, limits);
  await expect(second).rejects.toMatchObject({
    message: expect.stringContaining(`frame at byte ${small.length} has a window of 36.0 MiB`),
    advice: expect.stringContaining("--long=25"),
  });
  // A frame that is one segment has its whole content for a window.
  const segment = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x00, 0x00, 0x00, 0x04, 0x01, 0x00, 0x00]);
  await expect(read(segment, "zstd", 1e9, limits)).rejects.toThrow("a window of 64.0 MiB");
});
