import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DrpError } from "../../../src/core/errors.ts";
import { chunkDigest } from "../../../src/images/digest.ts";
import { encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { Disk } from "../../../src/images/io/disk.ts";
import { fillSlot, type SlotFill, verifySlot } from "../../../src/images/io/install-slot.ts";
import { zeroDisk } from "../../../src/images/io/zero-disk.ts";
import { CHUNK_BYTES, type Payload } from "../../../src/images/manifest.ts";
import { zeroRanges } from "../../../src/images/slot-fill.ts";
import { countingBytes, needTools, runTool, TemporaryFolder } from "./system-tools.ts";

const CHUNKS = 19;
const ZERO_CHUNKS = 6;

describe("fillSlot()", () => {
  /** Every third chunk is zeros, the last one short. */
  const plain = Array.from({ length: CHUNKS }, (_, index) =>
    index % 3 === 1
      ? Buffer.alloc(CHUNK_BYTES)
      : countingBytes(index === CHUNKS - 1 ? 8192 : CHUNK_BYTES, index),
  );
  const image = Buffer.concat(plain);
  const payload: Payload = {
    name: "rootfs.img",
    sizeBytes: image.length,
    chunkBytes: CHUNK_BYTES,
    chunks: plain.map((bytes, index) => (index % 3 === 1 ? null : chunkDigest(bytes))),
  };
  let folder: TemporaryFolder;
  let path: string;
  let asked: string[];

  beforeEach(() => {
    folder = new TemporaryFolder();
    path = join(folder.path, "disk");
    asked = [];
  });

  afterEach(() => folder[Symbol.dispose]());

  const fetchFrame = async (digest: string) => {
    asked.push(digest);
    return await encodeChunk(plain[payload.chunks.indexOf(digest)] ?? Buffer.alloc(0));
  };

  async function fill(past: SlotFill["past"], change: Partial<SlotFill> = {}) {
    await using disk = await Disk.open(path, image.length, "write");
    const onBytesDone = () => undefined;
    const tally = await fillSlot({
      disk,
      slotOffsetBytes: 0,
      payload,
      past,
      fetchFrame,
      onBytesDone,
      ...change,
    });
    await verifySlot(disk, 0, payload, () => undefined);
    return tally;
  }

  const makeEmpty = () => {
    closeSync(openSync(path, "w"));
    truncateSync(path, image.length);
  };

  test("fills an empty file, and leaves its zeros as holes", async () => {
    makeEmpty();
    expect(await fill("zeroed")).toMatchObject({ localBytes: 0, zeroBytes: 0 });
    expect(readFileSync(path).equals(image)).toBe(true);
    expect(statSync(path).blocks * 512).toBeLessThan(image.length * 0.75);
  });

  test("writes zeros over what is foreign", async () => {
    writeFileSync(path, Buffer.alloc(image.length, 0xff));
    expect(await fill("foreign")).toMatchObject({ keptBytes: 0, zeroBytes: ZERO_CHUNKS * CHUNK_BYTES });
    expect(readFileSync(path).equals(image)).toBe(true);
  });

  test("fetches what differs alone, and announces the first write once", async () => {
    const bytes = Buffer.from(image);
    bytes[6 * CHUNK_BYTES + 5] = 0xee;
    bytes[7 * CHUNK_BYTES] = 1;
    writeFileSync(path, bytes);
    let announced = 0;
    const beforeFirstWrite = async () => {
      announced++;
    };
    expect(await fill("image", { beforeFirstWrite })).toMatchObject({
      fetchedBytes: CHUNK_BYTES,
      zeroBytes: CHUNK_BYTES,
    });
    expect(asked).toEqual([payload.chunks[6]]);
    expect(announced).toBe(1);
    await fill("image", { beforeFirstWrite });
    expect(announced).toBe(1);
    expect(readFileSync(path).equals(image)).toBe(true);
  });

  test("takes from this machine what it has, and asks for what only looks like it", async () => {
    makeEmpty();
    const [first, , third] = payload.chunks;
    const readLocalChunk = async (digest: string, target: Buffer) => {
      plain[0]?.copy(target);
      return digest === first || digest === third;
    };
    expect(await fill("zeroed", { readLocalChunk })).toMatchObject({ localBytes: CHUNK_BYTES });
    expect(asked).not.toContain(first);
    expect(asked).toContain(third);
  });

  test("ends with the first failure, and touches the disk no more", async () => {
    makeEmpty();
    const failure = new DrpError("site.unreachable", "gone");
    let underWay = 0;
    const failing = async (digest: string, _memory: Buffer, signal: AbortSignal) => {
      if (digest === payload.chunks[5]) throw failure;
      underWay++;
      if (!signal.aborted) await once(signal, "abort");
      underWay--;
      throw new Error("what the others say of it");
    };
    await expect(fill("zeroed", { fetchFrame: failing })).rejects.toBe(failure);
    expect(underWay).toBe(0);
  });

  test("works where the file system takes nothing past its cache", async context => {
    needTools(context, "mount");
    const inMemory = join(folder.path, "memory");
    execFileSync("mkdir", [inMemory]);
    try {
      runTool("mount", "-t", "ramfs", "none", inMemory);
    } catch {
      return context.skip("cannot mount (needs root)");
    }
    try {
      path = join(inMemory, "disk");
      makeEmpty();
      await fill("foreign");
      expect(readFileSync(path).equals(image)).toBe(true);
    } finally {
      runTool("umount", inMemory);
    }
  });

  test("lets a disk make its zeros where the disk promises them", async context => {
    needTools(context, "losetup", "blkdiscard");
    writeFileSync(path, Buffer.alloc(CHUNKS * CHUNK_BYTES, 0xff));
    let loop: string;
    try {
      loop = runTool("losetup", "--find", "--show", path).trim();
    } catch {
      return context.skip("no loop device to be had (needs root)");
    }
    try {
      path = loop;
      await using disk = await Disk.open(path, CHUNKS * CHUNK_BYTES, "write");
      expect(await zeroDisk(disk, zeroRanges(payload))).toBe(true);
      const onBytesDone = () => undefined;
      const slot = { disk, slotOffsetBytes: 0, payload, fetchFrame, onBytesDone };
      expect(await fillSlot({ ...slot, past: "zeroed" })).toMatchObject({
        keptBytes: ZERO_CHUNKS * CHUNK_BYTES,
      });
      await verifySlot(disk, 0, payload, () => undefined);
    } finally {
      runTool("losetup", "--detach", loop);
    }
  });
});
