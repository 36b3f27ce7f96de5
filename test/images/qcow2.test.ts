import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fetchPrograms, type Programs } from "../../bench/peers.ts";
import { DrpError } from "../../src/core/errors.ts";
import { openQcow2 } from "../../src/images/io/qcow2.ts";
import { type RawRange, rawBytes } from "../../src/images/raw-range.ts";
import { noise, seededRandom } from "./bundles.ts";

const MIB = 1024 * 1024;

let programs: Programs | undefined;
let missing = "";
let dir: string;
/** Text that compresses, zeros, noise, and an end that no cluster fills. */
const content = Buffer.concat([
  Buffer.alloc(MIB, "words of a guest; "),
  Buffer.alloc(3 * MIB),
  noise(MIB, 1),
  Buffer.alloc(MIB / 2),
  noise(700, 2),
  Buffer.alloc(3 * 512 - 700, "end"),
]);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-qcow2-"));
  await writeFile(join(dir, "raw.img"), content);
  try {
    programs = await fetchPrograms(["qemu-utils"], "qcow2 is not compared with QEMU");
  } catch (error) {
    missing = String(error);
  }
}, 300_000);
afterAll(() => rm(dir, { recursive: true }));

function qemu(program: "qemu-img" | "qemu-io", ...args: string[]): void {
  if (programs === undefined) throw new Error("qemu-utils was not fetched");
  execFileSync(programs.find(program), args, {
    cwd: dir,
    env: { ...process.env, ...programs.env },
    stdio: ["ignore", "ignore", "pipe"],
  });
}

function convert(name: string, options: string, ...more: string[]): string {
  qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", ...more, "-o", options, "raw.img", name);
  return join(dir, name);
}

async function readRaw(path: string): Promise<Buffer> {
  await using image = await openQcow2(path);
  const raw = await buffer(rawBytes(image.ranges()));
  expect(raw.length).toBe(image.sizeBytes);
  return raw;
}

async function rawByQemu(path: string): Promise<Buffer> {
  qemu("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, `${path}.raw`);
  return await readFile(`${path}.raw`);
}

describe("openQcow2() of images that qemu-img makes", () => {
  beforeEach(context => {
    if (programs === undefined) context.skip(missing);
  });

  test.each([
    ["as it comes", "compat=1.1", []],
    ["version 2", "compat=0.10", []],
    ["version 2, compressed", "compat=0.10", ["-c"]],
    ["clusters of 512 bytes", "cluster_size=512", []],
    ["clusters of 512 bytes, compressed", "cluster_size=512", ["-c"]],
    ["clusters of 2 MiB", "cluster_size=2M", []],
    ["clusters of 2 MiB, compressed", "cluster_size=2M", ["-c"]],
    ["compressed with deflate", "compression_type=zlib", ["-c"]],
    ["compressed with zstd", "compression_type=zstd", ["-c"]],
    ["clusters of 4 KiB, compressed with zstd", "compression_type=zstd,cluster_size=4k", ["-c"]],
    ["lazy reference counts", "lazy_refcounts=on", []],
    ["reference counts of one bit", "refcount_bits=1", []],
    ["preallocated tables", "preallocation=metadata", []],
    ["preallocated by falloc", "preallocation=falloc", []],
    ["preallocated in full", "preallocation=full", []],
    ["subclusters", "extended_l2=on", []],
    ["subclusters, compressed with zstd", "extended_l2=on,compression_type=zstd,cluster_size=128k", ["-c"]],
  ])("gives what it was made from: %s", async (name, options, flags) => {
    const path = convert(`${name.replaceAll(/\W/g, "-")}.qcow2`, options, ...flags);
    expect((await readRaw(path)).equals(content)).toBe(true);
  });

  test.each([
    ["plain clusters", "cluster_size=64k"],
    ["subclusters", "extended_l2=on,cluster_size=64k"],
    ["version 2", "compat=0.10"],
  ])("gives what QEMU reads after guests wrote, trimmed and took snapshots: %s", async (name, options) => {
    const path = join(dir, `used-${name.replaceAll(" ", "-")}.qcow2`);
    qemu("qemu-img", "create", "-f", "qcow2", "-o", options, path, "10000k");
    const write = (...commands: string[]) =>
      qemu("qemu-io", "-f", "qcow2", ...commands.flatMap(command => ["-c", command]), path);
    write("write -P 0x11 3k 5k", "write -P 0x22 1M 300k", "write -P 0x33 9990k 10k");
    qemu("qemu-img", "snapshot", "-c", "before", path);
    write("write -P 0x44 1100k 1k", "write -z 1200k 20k", "discard 64k 64k", "write -P 0x55 70k 3k");
    expect((await readRaw(path)).equals(await rawByQemu(path))).toBe(true);
  });

  test("reads no zeros: an empty disk of 64 GiB is one range", async () => {
    qemu("qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=2M", "empty.qcow2", "64G");
    await using image = await openQcow2(join(dir, "empty.qcow2"));
    const ranges: RawRange[] = [];
    for await (const range of image.ranges()) ranges.push(range);
    expect(ranges).toEqual([{ kind: "zeros", lengthBytes: 64 * 1024 * MIB }]);
  });

  test("refuses more than the largest image", async () => {
    qemu("qemu-img", "create", "-f", "qcow2", "huge.qcow2", "65G");
    await expect(openQcow2(join(dir, "huge.qcow2"))).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringContaining("claims a disk of 65.0 GiB; at most 64.0 GiB"),
    });
  });

  test("refuses an image whose content lies in another file, and never opens that", async () => {
    const secret = join(dir, "secret");
    await writeFile(secret, noise(64 * 1024, 9));
    qemu("qemu-img", "create", "-f", "qcow2", "-b", secret, "-F", "raw", "backed.qcow2");
    await expect(openQcow2(join(dir, "backed.qcow2"))).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringContaining("has a backing file"),
      advice: expect.stringContaining("qemu-img convert"),
    });
    qemu(
      "qemu-img",
      "create",
      "-f",
      "qcow2",
      "-o",
      "data_file=outside.raw,data_file_raw=on",
      "ext.qcow2",
      "1M",
    );
    await expect(openQcow2(join(dir, "ext.qcow2"))).rejects.toMatchObject({
      message: expect.stringContaining("has an external data file"),
    });
  });

  test("refuses an encrypted image", async () => {
    const secret = ["--object", "secret,id=s,data=word"];
    const aes = "encrypt.format=aes,encrypt.key-secret=s";
    qemu("qemu-img", "create", ...secret, "-f", "qcow2", "-o", aes, "aes.qcow2", "1M");
    await expect(openQcow2(join(dir, "aes.qcow2"))).rejects.toMatchObject({
      message: expect.stringContaining("is encrypted"),
    });
  });

  /** Byte offsets of the header; what is put there; what must be said. */
  test.each<[string, number, Buffer, RegExp]>([
    ["a dirty bit", 79, Buffer.of(1), /in use, or not closed/],
    ["a corrupt bit", 79, Buffer.of(2), /marked as corrupt/],
    ["a data file bit alone", 79, Buffer.of(4), /external data file/],
    ["an unknown feature", 76, Buffer.of(0x80), /incompatible bit 31/],
    ["a compression type that no bit announces", 104, Buffer.of(1), /byte 104: compression type 1/],
    ["version 4", 7, Buffer.of(4), /byte 4: qcow2 version 4/],
    ["clusters of 256 bytes", 23, Buffer.of(8), /byte 20: clusters of 2\^8/],
    ["clusters of 4 GiB", 23, Buffer.of(32), /byte 20: clusters of 2\^32/],
    ["an L1 table that is too short", 36, Buffer.alloc(4), /byte 36: an L1 table of 0 entries/],
    ["an L1 table in the header", 40, Buffer.alloc(8), /byte 40: the L1 table at byte 0/],
    ["an L1 table beyond the file", 40, Buffer.of(0, 1), /byte 40: the L1 table at byte 281474\d+ leaves/],
    ["an L1 table between clusters", 47, Buffer.of(8), /not on a cluster of its own/],
    ["a header that is too short", 100, Buffer.of(0, 0, 0, 96), /a header of 96 bytes/],
    ["a header that is longer than its cluster", 100, Buffer.of(0, 16, 0, 0), /a header of 1048576 bytes/],
    ["an extension that leaves the header", 116, Buffer.of(0x7f), /header extension of \d+ bytes leaves/],
    ["an absurd size", 24, Buffer.of(0x7f), /claims a disk of/],
  ])("refuses %s, by its place", async (_, offset, bytes, words) => {
    const image = await readFile(convert("patched.qcow2", "compat=1.1"));
    bytes.copy(image, offset);
    const path = join(dir, "patched.qcow2");
    await writeFile(path, image);
    const error = await openQcow2(path).then(
      () => undefined,
      (refusal: unknown) => refusal,
    );
    expect(error).toMatchObject({ code: "input.unreadable" });
    expect(describeAll(error)).toMatch(words);
  });

  test("takes a last sector that older QEMUs do not fill up", async () => {
    const text = content.subarray(0, 100_352);
    await writeFile(join(dir, "text.img"), text);
    const path = join(dir, "short.qcow2");
    qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "text.img", path);
    const image = await readFile(path);
    const kept = image.findLastIndex(byte => byte !== 0) + 1;
    expect(kept % 512).not.toBe(0);
    await writeFile(path, image.subarray(0, kept));
    expect((await readRaw(path)).equals(text)).toBe(true);
  });

  test.each([
    ["deflate", "compression_type=zlib"],
    ["zstd", "compression_type=zstd"],
  ])("never gives less for a file that is cut anywhere: %s", async (_, options) => {
    const whole = convert("cut.qcow2", options, "-c");
    const image = await readFile(whole);
    // The very last sector is filled up with nothing.
    for (const keep of [
      0,
      3,
      71,
      103,
      512,
      65_536,
      65_537,
      200_000,
      image.length >> 1,
      image.length - 2048,
    ]) {
      await writeFile(whole, image.subarray(0, keep));
      await expect(readRaw(whole)).rejects.toMatchObject({ code: "input.unreadable" });
    }
  });

  test.each(["compat=0.10", "compression_type=zstd", "extended_l2=on,cluster_size=16k", "cluster_size=512"])(
    "gives a DrpError or a disk of the right length for flipped bits: %s",
    async options => {
      const small = join(dir, "small.img");
      await writeFile(small, content.subarray(MIB / 2, MIB / 2 + 200 * 1024));
      const flags = options.startsWith("compression") ? ["-c"] : [];
      const path = join(dir, "flipped.qcow2");
      qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", ...flags, "-o", options, small, path);
      const image = await readFile(path);
      const tables = tableOffsets(image);
      for (let seed = 0; seed < 80; seed++) {
        const random = seededRandom(seed);
        const damaged = Buffer.from(image);
        for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips--) {
          const start = tables[Math.floor(random() * tables.length)] ?? 0;
          const at = Math.min(image.length - 1, start + Math.floor(random() * 112));
          damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8));
        }
        await writeFile(path, damaged);
        await expect(tryToRead(path), `seed ${seed}`).resolves.toBe("good");
      }
    },
  );
});

/** The header, the L1 table and the first L2 table, where flipped bits mean something. */
function tableOffsets(image: Buffer): number[] {
  const l1 = Number(image.readBigUInt64BE(40));
  const l2 = Number(image.readBigUInt64BE(l1) & 0x00ff_ffff_ffff_fe00n);
  return [0, l1, l2];
}

async function tryToRead(path: string): Promise<string> {
  try {
    await using image = await openQcow2(path);
    let length = 0;
    // Most of a disk whose size was flipped upwards are zeros that nobody reads.
    for await (const range of image.ranges()) {
      length += range.kind === "data" ? range.bytes.length : range.lengthBytes;
    }
    return length === image.sizeBytes ? "good" : `${length} bytes of ${image.sizeBytes}`;
  } catch (error) {
    return error instanceof DrpError && error.code === "input.unreadable" ? "good" : String(error);
  }
}

function describeAll(error: unknown): string {
  return error instanceof Error ? `${error.message}: ${describeAll(error.cause)}` : "";
}
