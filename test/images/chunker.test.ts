import fc from "fast-check";
import { expect, test } from "vitest";
import { chunkLength, countDataBytes, isZeroChunk, splitChunks } from "../../src/images/chunker.ts";
import { CHUNK_BYTES, type Payload } from "../../src/images/manifest.ts";
import { collect, noise } from "./bundles.ts";

test("splitChunks() gives the same chunks however its input is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 3 * CHUNK_BYTES + 1 }),
      fc.array(fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 1, max: 2 * CHUNK_BYTES })), {
        minLength: 1,
        maxLength: 20,
      }),
      async (sizeBytes, cuts) => {
        const image = noise(sizeBytes, sizeBytes);
        const chunks = await collect(splitChunks(inPieces(image, cuts)));

        expect(Buffer.concat(chunks).equals(image)).toBe(true);
        expect(chunks.map(chunk => chunk.length)).toEqual(
          chunks.map((_, index) => chunkLength({ sizeBytes }, index)),
        );
        expect(chunks).toHaveLength(Math.ceil(sizeBytes / CHUNK_BYTES));
      },
    ),
    { numRuns: 60 },
  );
});

test("splitChunks() gives chunks that the next ones do not overwrite", async () => {
  const image = noise(2 * CHUNK_BYTES, 5);
  const [first, second] = await collect(splitChunks(inPieces(image, [CHUNK_BYTES / 2])));
  expect(first?.equals(image.subarray(0, CHUNK_BYTES))).toBe(true);
  expect(second?.equals(image.subarray(CHUNK_BYTES))).toBe(true);
});

test("isZeroChunk() sees a single bit anywhere", () => {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  expect(isZeroChunk(chunk)).toBe(true);
  expect(isZeroChunk(chunk.subarray(0, 4096))).toBe(true);
  for (const at of [0, 4095, CHUNK_BYTES - 1]) {
    chunk[at] = 1;
    expect(isZeroChunk(chunk)).toBe(false);
    chunk[at] = 0;
  }
});

test("countDataBytes() counts a short last chunk as short and zeros as nothing", () => {
  const payload: Payload = {
    name: "rootfs.img",
    sizeBytes: 2 * CHUNK_BYTES + 4096,
    chunkBytes: CHUNK_BYTES,
    chunks: ["a".repeat(64), null, "b".repeat(64)],
  };
  expect(countDataBytes(payload)).toBe(CHUNK_BYTES + 4096);
});

/** Cuts by the given lengths, again and again. */
async function* inPieces(bytes: Buffer, lengths: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] || 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}
