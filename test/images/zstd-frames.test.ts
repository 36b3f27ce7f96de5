import { zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeChunk, encodeChunk } from "../../src/images/io/chunk-codec.ts";
import { CHUNK_BYTES } from "../../src/images/manifest.ts";
import { splitFrames } from "../../src/images/zstd-frames.ts";
import { collect, cut, noise, seededRandom, smallImage } from "./bundles.ts";

const image = Buffer.concat([
  smallImage(),
  noise(CHUNK_BYTES - 8192, 9),
  noise(CHUNK_BYTES, 10),
  Buffer.alloc(700),
]);
const frames = await Promise.all(cut(image).map(encodeChunk));
const file = Buffer.concat(frames);

async function split(bytes: Buffer, pieceBytes: number): Promise<Buffer[]> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  return await collect(splitFrames(pieces()));
}

test.each([997, 65_536, 3 * CHUNK_BYTES])(
  "splitFrames() finds every frame in pieces of %i bytes",
  async size => {
    const found = await split(file, size);
    expect(found.map(frame => frame.length)).toEqual(frames.map(frame => frame.length));
    expect(Buffer.concat(found).equals(file)).toBe(true);
  },
);

test("splitFrames() finds frames byte by byte", async () => {
  const small = await Promise.all([
    encodeChunk(Buffer.alloc(0)),
    encodeChunk(noise(300, 1)),
    encodeChunk(Buffer.alloc(5000)),
  ]);
  expect(await split(Buffer.concat(small), 1)).toEqual(small);
});

test("splitFrames() knows a cut file from a whole one at every length", async () => {
  const frame = await encodeChunk(noise(300, 2));
  const two = Buffer.concat([frame, frame]);
  for (let length = 0; length <= two.length; length++) {
    const result = split(two.subarray(0, length), 64);
    if (length % frame.length === 0) expect(await result).toHaveLength(length / frame.length);
    else await expect(result).rejects.toThrow(/at byte (0|\d+) is cut after \d+ bytes/);
  }
});

test.each([
  ["more than a chunk", zstdCompressSync(Buffer.alloc(CHUNK_BYTES + 1), { pledgedSrcSize: CHUNK_BYTES + 1 })],
  ["a bomb of 1 GiB", zstdCompressSync(Buffer.alloc(64 * CHUNK_BYTES), { pledgedSrcSize: 64 * CHUNK_BYTES })],
  ["a frame that does not tell its size", zstdCompressSync(noise(3 * CHUNK_BYTES, 3)).fill(0, 4, 5)],
  ["something else", Buffer.from("this is not zstd at all")],
])("splitFrames() refuses %s", async (_, bytes) => {
  await expect(split(bytes, 1000)).rejects.toThrow(/^the zstd frame at byte 0 /);
});

test("splitFrames() neither hangs nor fails in another way on damaged bytes", async () => {
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const damaged = Buffer.from(file.subarray(0, 60_000));
    const at = Math.floor(random() * damaged.length);
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (round & 7));
    await expect(split(damaged, 4096)).rejects.toThrow(/^the zstd frame at byte \d+ /);
  }
});

test("decodeChunk() gives back what encodeChunk() took", async () => {
  for (const bytes of [...cut(image), Buffer.alloc(1)]) {
    expect((await decodeChunk(await encodeChunk(bytes), bytes.length)).equals(bytes)).toBe(true);
  }
});

test("decodeChunk() refuses a frame of another length, a cut one and one that is none", async () => {
  const frame = await encodeChunk(noise(5000, 4));
  const refused = { code: "bundle.tampered" };
  await expect(decodeChunk(frame, 4999)).rejects.toMatchObject(refused);
  await expect(decodeChunk(frame, 5001)).rejects.toMatchObject(refused);
  await expect(decodeChunk(frame.subarray(0, -1), 5000)).rejects.toMatchObject(refused);
  await expect(decodeChunk(frame.fill(0, 100, 101).subarray(1), 5000)).rejects.toMatchObject(refused);
});
