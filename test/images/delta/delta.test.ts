import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError, DrpError } from "../../../src/core/errors.ts";
import { applyDelta } from "../../../src/images/delta/apply.ts";
import {
  BLOCK_BYTES,
  BLOCKS_PER_CHUNK,
  CHUNKS_PER_GROUP,
  countBlocks,
} from "../../../src/images/delta/geometry.ts";
import { decodeGroup, LITERAL } from "../../../src/images/delta/group.ts";
import { decodeDeltaHeader } from "../../../src/images/delta/header.ts";
import type { ImageReader } from "../../../src/images/image-reader.ts";
import { deltaCodec } from "../../../src/images/io/delta-codec.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import { noise, seededRandom, streamOf } from "../bundles.ts";
import { encodeWhole, FROM, readerOf, TO } from "./delta-images.ts";

async function rebuild(from: ImageReader, to: ImageReader, delta: Buffer, firstGroup = 0): Promise<Buffer> {
  const groups = decodeDeltaHeader(delta, { from: FROM, to: TO, payload: to.payload });
  const start = groups[firstGroup]?.offsetBytes ?? delta.length;
  const application = { from, to: to.payload, groups, codec: deltaCodec, firstGroup };
  const image = Buffer.alloc(to.payload.sizeBytes);
  for await (const { index, bytes } of applyDelta(application, streamOf(delta.subarray(start)))) {
    bytes?.copy(image, index * CHUNK_BYTES);
  }
  return image;
}

/** Noise takes time to make, and an image names the same kinds again and again. */
const made = new Map<number, Buffer>();

/** 0: zeros; an odd kind is the even one before it with a byte of its own. */
function blockOf(kind: number): Buffer {
  const known = made.get(kind);
  if (known !== undefined) return known;
  const block = kind === 0 ? Buffer.alloc(BLOCK_BYTES) : noise(BLOCK_BYTES, kind >> 1);
  if (kind % 2 === 1) block.writeUInt8(block.readUInt8(kind % BLOCK_BYTES) ^ 1, kind % BLOCK_BYTES);
  made.set(kind, block);
  return block;
}

/** Kinds of blocks, so that images repeat, move and change a little. */
function imageOf(kinds: readonly number[]): Buffer {
  return Buffer.concat(kinds.map(blockOf));
}

const OLD = imageOf(
  Array.from({ length: 5 * BLOCKS_PER_CHUNK }, (_, index) => (index % 7 === 0 ? 0 : index * 2)),
);
/** Some blocks are gone, some moved, some changed by a byte, some new. */
const NEW = imageOf(
  Array.from({ length: 6 * BLOCKS_PER_CHUNK - 3 }, (_, index) => {
    if (index % 50 === 0) return index * 2 + 1;
    if (index < 300) return index * 2 + 400;
    return index % 9 === 0 ? 100_000 + index * 2 : index * 2 - 40;
  }),
);

describe("a delta", () => {
  test("rebuilds the new image from the old one, and is a fraction of it", async () => {
    const [from, to] = [readerOf(OLD), readerOf(NEW)];
    const delta = await encodeWhole(from, to);
    expect((await rebuild(from, to, delta)).equals(NEW)).toBe(true);
    expect(delta.length).toBeLessThan(NEW.length / 2);
  });

  test("of an image to itself names copies alone", async () => {
    const from = readerOf(OLD);
    const delta = await encodeWhole(from, from);
    expect(delta.length).toBeLessThan(200);
    expect((await rebuild(from, from, delta)).equals(OLD)).toBe(true);
  });

  test("takes a block that changed by one byte from the old one, as a dictionary", async () => {
    const old = noise(CHUNK_BYTES, 1);
    const changed = Buffer.from(old);
    for (let at = 100; at < changed.length; at += 3 * BLOCK_BYTES)
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    const delta = await encodeWhole(readerOf(old), readerOf(changed));
    // A third of the blocks are literals; without the dictionary they would be 340 KiB.
    expect(delta.length).toBeLessThan(8 * 1024);
    expect((await rebuild(readerOf(old), readerOf(changed), delta)).equals(changed)).toBe(true);
  });

  test("finds moved runs in an old image of 30 GiB, of which the index holds every fifth block", async () => {
    const old = noise(2 * CHUNK_BYTES, 5);
    const small = readerOf(old);
    // All but the first two chunks count as data and are read as zeros.
    const claimed = Array.from({ length: 30_000 }, (_, index) => index.toString(16).padStart(64, "0"));
    const chunks = [...small.payload.chunks, ...claimed];
    const from: ImageReader = {
      payload: { ...small.payload, sizeBytes: chunks.length * CHUNK_BYTES, chunks },
      readChunk: async index => (index < 2 ? await small.readChunk(index) : null),
    };
    const moved = Buffer.concat([
      noise(BLOCK_BYTES, 6),
      old.subarray(3 * BLOCK_BYTES, 200 * BLOCK_BYTES),
      noise(BLOCK_BYTES, 7),
      old.subarray(250 * BLOCK_BYTES, 260 * BLOCK_BYTES),
    ]);
    const to = readerOf(moved);
    const delta = await encodeWhole(from, to);
    expect((await rebuild(from, to, delta)).equals(moved)).toBe(true);
    const [place] = decodeDeltaHeader(delta, { from: FROM, to: TO, payload: to.payload });
    const group = delta.subarray(place?.offsetBytes);
    const { sources } = decodeGroup(group, moved.length / BLOCK_BYTES, countBlocks(from.payload), 0);
    const literals = sources.flatMap((source, block) => (source === LITERAL ? [block] : []));
    expect(literals).toEqual([0, 198]);
  });

  test("can be applied from any group on", async () => {
    const [from, to] = [readerOf(OLD), readerOf(NEW)];
    const delta = await encodeWhole(from, to);
    for (const firstGroup of [1, 2]) {
      const rest = await rebuild(from, to, delta, firstGroup);
      const start = firstGroup * CHUNKS_PER_GROUP * CHUNK_BYTES;
      expect(rest.subarray(start).equals(NEW.subarray(start))).toBe(true);
    }
  });

  test("round-trips between any two images, shorter, longer, or of zeros", async () => {
    const blocks = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 700, size: "max" });
    await fc.assert(
      fc.asyncProperty(blocks, blocks, async (old, wanted) => {
        const [from, to] = [readerOf(imageOf(old)), readerOf(imageOf(wanted))];
        const rebuilt = await rebuild(from, to, await encodeWhole(from, to));
        expect(rebuilt.equals(imageOf(wanted))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});

describe("a delta that is not what was made", () => {
  const [from, to] = [readerOf(OLD), readerOf(NEW)];

  test("is refused wherever it is cut, with the offset", async () => {
    const delta = await encodeWhole(from, to);
    const random = seededRandom(7);
    for (let run = 0; run < 60; run++) {
      const at = Math.floor(random() * delta.length);
      const error = await rebuild(from, to, delta.subarray(0, at)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(DecodeError);
      expect((error as DecodeError).message).toMatch(/offset \d+/);
    }
  });

  test("is refused with any bit flipped, or gives the image that was signed", async () => {
    const delta = await encodeWhole(from, to);
    const random = seededRandom(11);
    for (let run = 0; run < 150; run++) {
      const flipped = Buffer.from(delta);
      const at = run < 100 ? Math.floor(random() * delta.length) : Math.floor(random() * 400);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
      try {
        expect((await rebuild(from, to, flipped)).equals(NEW)).toBe(true);
      } catch (error) {
        const isRefusal =
          error instanceof DecodeError || (error instanceof DrpError && error.code === "bundle.tampered");
        if (!isRefusal) throw error;
      }
    }
  });

  test("is refused when bytes follow it", async () => {
    const delta = Buffer.concat([await encodeWhole(from, to), Buffer.from([0])]);
    await expect(rebuild(from, to, delta)).rejects.toThrow(/bytes after its last group, at offset \d+/);
  });

  test("is refused when it is between other images", async () => {
    const delta = await encodeWhole(from, to);
    const binding = { from: TO, to: TO, payload: to.payload };
    expect(() => decodeDeltaHeader(delta, binding)).toThrow(`leads from ${FROM} at offset 8, not ${TO}`);
  });

  test("rebuilds nothing from an old image that has rotted: chunk and offset are named", async () => {
    const delta = await encodeWhole(from, to);
    const rotten = Buffer.from(OLD);
    rotten.writeUInt8(rotten.readUInt8(400 * BLOCK_BYTES) ^ 1, 400 * BLOCK_BYTES);
    const old: ImageReader = { payload: from.payload, readChunk: readerOf(rotten).readChunk };
    const error = await rebuild(old, to, delta).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "bundle.tampered", facts: { payload: "rootfs.img" } });
    expect((error as DrpError).message).toMatch(/chunk \d+ of rootfs.img \(offset \d+\)/);
  });
});
