import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { chunkDigest } from "../../../src/images/digest.ts";
import { Disk } from "../../../src/images/io/disk.ts";
import { verifySlot } from "../../../src/images/io/install-slot.ts";
import { CHUNK_BYTES, type Payload } from "../../../src/images/manifest.ts";
import { countingBytes, TemporaryFolder } from "./system-tools.ts";

const SLOT = 2 * CHUNK_BYTES;
const SHORT_BYTES = 8192;

function payloadOf(plain: Buffer, short: Buffer): Payload {
  return {
    name: "rootfs.img",
    sizeBytes: 2 * CHUNK_BYTES + SHORT_BYTES,
    chunkBytes: CHUNK_BYTES,
    chunks: [chunkDigest(plain), null, chunkDigest(short)],
  };
}

describe("verifySlot()", () => {
  const plain = countingBytes(CHUNK_BYTES);
  const short = countingBytes(SHORT_BYTES, 5);
  const payload = payloadOf(plain, short);
  const slot = Buffer.concat([Buffer.alloc(SLOT), plain, Buffer.alloc(CHUNK_BYTES), short]);

  /** @param flippedAt offset on the disk of one bit that the disk lost */
  async function verify(flippedAt?: number): Promise<number[]> {
    using folder = new TemporaryFolder();
    const path = join(folder.path, "disk");
    writeFileSync(path, slot);
    if (flippedAt !== undefined) {
      const file = openSync(path, "r+");
      writeSync(file, Uint8Array.of((slot[flippedAt] ?? 0) ^ 1), 0, 1, flippedAt);
      closeSync(file);
    }
    const done: number[] = [];
    await using disk = await Disk.open(path, slot.length, "read");
    await verifySlot(disk, SLOT, payload, doneBytes => done.push(doneBytes));
    return done;
  }

  test("passes a slot that holds the image, and tells how far it is", async () => {
    const done = await verify();
    expect(done).toHaveLength(3);
    expect(done).toEqual(done.toSorted((one, other) => one - other));
    expect(done.at(-1)).toBe(payload.sizeBytes);
  });

  test.each([
    ["a chunk of data", 17, 0],
    ["a chunk of zeros", CHUNK_BYTES + 17, CHUNK_BYTES],
    ["the short last chunk", 2 * CHUNK_BYTES + SHORT_BYTES - 1, 2 * CHUNK_BYTES],
  ])("fails on one bit that differs in %s, naming the place", async (_, offset, chunkStart) => {
    await expect(verify(SLOT + offset)).rejects.toMatchObject({
      code: "disk.failed",
      message: expect.stringContaining(`gives back other bytes than were written, at ${SLOT + chunkStart}`),
    });
  });

  test("fails where the disk ends before its time", async () => {
    using folder = new TemporaryFolder();
    const path = join(folder.path, "disk");
    writeFileSync(path, slot);
    truncateSync(path, SLOT + 2 * CHUNK_BYTES + 100);
    await using disk = await Disk.open(path, slot.length, "read");
    await expect(verifySlot(disk, SLOT, payload, () => undefined)).rejects.toMatchObject({
      code: "disk.failed",
      message: expect.stringContaining(`could not be read at ${SLOT + 2 * CHUNK_BYTES + 100} of`),
    });
  });
});
