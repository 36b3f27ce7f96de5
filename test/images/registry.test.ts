import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { constants, createZstdCompress, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DrpError } from "../../src/core/errors.ts";
import { decodeChunk, encodeChunk } from "../../src/images/io/chunk-codec.ts";
import { type ImageRegistry, openRegistry } from "../../src/images/io/registry.ts";
import { CHUNK_BYTES } from "../../src/images/manifest.ts";
import { verifyManifest } from "../../src/images/signature.ts";
import {
  cut,
  makeBundle,
  makeKey,
  makeTar,
  noise,
  seededRandom,
  smallImage,
  streamOf,
  type TarEntry,
} from "./bundles.ts";

const key = makeKey();
const image = smallImage();
const bundle = await makeBundle(image, key);

let dir: string;
let registry: ImageRegistry;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-registry-"));
  registry = await openRegistry(dir);
});
afterEach(() => rm(dir, { recursive: true }));

/** Every file below the registry, chunks and manifests alike. */
async function files(): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter(entry => entry.isFile())
    .map(entry => entry.name)
    .sort();
}

async function failureOf(bytes: Buffer, trusted = [key]): Promise<DrpError> {
  const error = await registry.ingestBundle(streamOf(bytes), trusted).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DrpError);
  return error as DrpError;
}

/** What a machine would see of an image. */
async function readImage(digest = bundle.digest): Promise<Buffer> {
  const signed = await registry.manifest(digest);
  if (signed === undefined) throw new Error("the image is not visible");
  const [payload] = verifyManifest(signed, [key]).payloads;
  const chunks = payload?.chunks.map(async (chunk, index) => {
    const length = Math.min(CHUNK_BYTES, payload.sizeBytes - index * CHUNK_BYTES);
    return chunk === null
      ? Buffer.alloc(length)
      : await decodeChunk(await readFile((await registry.findChunk(chunk)) ?? ""), length);
  });
  return Buffer.concat(await Promise.all(chunks ?? []));
}

describe("a bundle that is whole", () => {
  test.each(["plain", "frames"] as const)("is kept byte for byte, its payload being %s", async form => {
    const progress: number[] = [];
    const sent = await makeBundle(image, key, form);
    const result = await registry.ingestBundle(streamOf(sent.bytes), [key], {
      onProgress: ({ doneBytes }) => progress.push(doneBytes),
    });
    expect(result).toEqual({
      manifest: bundle.manifest,
      digest: bundle.digest,
      alreadyPresent: false,
      repairedChunks: 0,
      dataBytes: 2 * CHUNK_BYTES + 8192,
      keyId: key.keyId,
    });
    expect((await readImage()).equals(image)).toBe(true);
    // Three chunks, the one of zeros being none; manifest and signature.
    expect(await files()).toHaveLength(5);
    expect(progress.at(-1)).toBe(image.length);
  });

  test("is not written a second time", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    const before = await files();
    const chunk = (await registry.findChunk(bundle.manifest.payloads[0]?.chunks[0] ?? "")) ?? "";
    const { ino } = await stat(chunk);
    const stream = streamOf(bundle.bytes);
    const result = await registry.ingestBundle(stream, [key]);
    expect(result).toMatchObject({ alreadyPresent: true, digest: bundle.digest });
    expect(stream.readableEnded).toBe(true);
    expect(await files()).toEqual(before);
    expect((await stat(chunk)).ino).toBe(ino);
  });

  test("may come twice at the same moment", async () => {
    const [first, second] = await Promise.all([
      registry.ingestBundle(streamOf(bundle.bytes), [key]),
      registry.ingestBundle(streamOf(bundle.bytes, 999), [key]),
    ]);
    expect(first?.digest).toBe(second?.digest);
    expect((await readImage()).equals(image)).toBe(true);
    expect(await files()).toHaveLength(5);
  });

  test("is found again by whoever opens the registry next", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    registry = await openRegistry(dir);
    expect((await readImage()).equals(image)).toBe(true);
  });
});

describe("a bundle that is cut short", () => {
  test("is refused at every entry border and at seeded points, and leaves nothing", async () => {
    const random = seededRandom(20);
    const borders: number[] = [];
    let at = 0;
    for (const [, content] of bundle.entries) {
      const size = Buffer.byteLength(content);
      borders.push(at, at + 512, at + 512 + size);
      at += 512 + Math.ceil(size / 512) * 512;
      borders.push(at);
    }
    const points = [
      ...borders,
      at + 512,
      at + 1023,
      ...Array.from({ length: 60 }, () => Math.floor(random() * at)),
    ];
    for (const length of points) {
      const error = await failureOf(bundle.bytes.subarray(0, length));
      expect(error.code, `cut after ${length}`).toBe("bundle.truncated");
      expect(error.facts.receivedBytes).toBe(length);
      expect(await files()).toEqual([]);
    }
  });

  test("is refused when the sender's connection breaks", async () => {
    for (const form of ["plain", "frames"] as const) {
      const { bytes } = await makeBundle(image, key, form);
      const stream = new PassThrough();
      stream.write(bytes.subarray(0, bytes.length / 2));
      const result = registry.ingestBundle(stream, [key], { onProgress: () => stream.destroy() });
      await expect(result).rejects.toMatchObject({ code: "bundle.truncated" });
      expect(await files()).toEqual([]);
    }
  });
});

describe("a bundle that was changed on the way", () => {
  test.each(["plain", "frames"] as const)("is refused wherever a bit was flipped (%s)", async form => {
    const { bytes } = await makeBundle(image, key, form);
    const random = seededRandom(form.length);
    let refused = 0;
    for (let round = 0; round < 120; round++) {
      const damaged = Buffer.from(bytes);
      // Every third one in the first blocks, where manifest, signature and headers are.
      const at = Math.floor(random() * (round % 3 === 0 ? 3000 : bytes.length));
      damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      try {
        await registry.ingestBundle(streamOf(damaged), [key]);
        // Tar's padding says nothing: there the image is the same, to the bit.
        expect((await readImage()).equals(image), `bit flipped at ${at}`).toBe(true);
        expect(await registry.remove(bundle.digest)).toBe(true);
      } catch (error) {
        expect(error, `bit flipped at ${at}`).toBeInstanceOf(DrpError);
        refused++;
      }
      expect(await files(), `bit flipped at ${at}`).toEqual([]);
    }
    expect(refused).toBeGreaterThan(80);
  });

  test.each([
    ["plain", 0, 17],
    ["plain", 1, CHUNK_BYTES + 9],
    ["plain", 3, 3 * CHUNK_BYTES + 8191],
  ] as const)("names the payload, the chunk and its offset (%s, chunk %i)", async (form, chunk, at) => {
    const { bytes, entries } = await makeBundle(image, key, form);
    const payloadStart = bytes.length - 1024 - Buffer.byteLength(entries[2]?.[1] ?? "");
    const damaged = Buffer.from(bytes);
    damaged[payloadStart + at] = (damaged[payloadStart + at] ?? 0) ^ 1;
    const error = await failureOf(damaged);
    expect(error.code).toBe("bundle.tampered");
    expect(error.facts).toEqual({ part: "rootfs.img", chunk, offsetBytes: chunk * CHUNK_BYTES });
    expect(error.message).toContain(`chunk ${chunk} at byte ${chunk * CHUNK_BYTES}`);
  });

  test("is refused when a frame holds another chunk's bytes", async () => {
    const frames = await Promise.all(cut(image).map(encodeChunk));
    const swapped = Buffer.concat([2, 1, 0, 3].map(index => frames[index] ?? Buffer.alloc(0)));
    const error = await failureOf(await makeTar(withPayload(swapped)));
    expect(error.code).toBe("bundle.tampered");
    // Chunks are checked side by side: either of the two is found first.
    expect([0, 2]).toContain(error.facts.chunk);
    expect(await files()).toEqual([]);
  });

  test("is refused with another manifest under the old signature", async () => {
    const other = await makeBundle(smallImage(8), key);
    const [, signature] = bundle.entries;
    const [manifest, , payload] = other.entries;
    const mixed = [manifest, signature, payload].filter(entry => entry !== undefined);
    expect(await failureOf(await makeTar(mixed))).toMatchObject({ code: "signature.rejected" });
  });

  test("is refused by its signature before its payload is read", async () => {
    const stream = streamOf((await makeBundle(noise(8 * CHUNK_BYTES, 3), makeKey(), "plain")).bytes);
    await expect(registry.ingestBundle(stream, [key])).rejects.toMatchObject({ code: "signature.rejected" });
    expect(stream.destroyed).toBe(false);
    expect(stream.readableEnded).toBe(false);
    expect(await files()).toEqual([]);
  });
});

/** The good bundle with another payload. */
function withPayload(payload: Buffer, name = "rootfs.img.zst"): TarEntry[] {
  return [...bundle.entries.slice(0, 2), [name, payload]];
}

const plainTar = (await makeBundle(image, key, "plain")).bytes;

describe("a bundle inside zstd", () => {
  const zstd = (bytes: Buffer) => zstdCompressSync(bytes);
  test.each([
    ["one frame", () => zstd(plainTar)],
    ["three frames", () => Buffer.concat([0, 1, 2].map(third => zstd(plainTar.subarray(...thirdOf(third)))))],
    ["frames around a payload of frames", () => zstd(bundle.bytes)],
  ])("is kept byte for byte: %s", async (_, compress) => {
    const result = await registry.ingestBundle(streamOf(compress()), [key]);
    expect(result).toMatchObject({ digest: bundle.digest, alreadyPresent: false });
    expect((await readImage()).equals(image)).toBe(true);
    const again = streamOf(compress());
    expect(await registry.ingestBundle(again, [key])).toMatchObject({ alreadyPresent: true });
    expect(again.readableEnded).toBe(true);
  });

  function thirdOf(index: number): [number, number] {
    const size = Math.ceil(plainTar.length / 3);
    return [index * size, (index + 1) * size];
  }

  test("is refused wherever it is cut, changed or continued, and leaves nothing", async () => {
    const bytes = zstd(bundle.bytes);
    const random = seededRandom(31);
    for (let round = 0; round < 60; round++) {
      const at = round < 10 ? round : Math.floor(random() * (bytes.length - 1));
      const cut = await failureOf(bytes.subarray(0, at));
      expect(cut.code, `cut after ${at}`).toMatch(/^bundle\.(truncated|malformed)$/);
      expect(await files(), `cut after ${at}`).toEqual([]);
    }
    expect((await failureOf(Buffer.concat([bytes, Buffer.from("more")]))).code).toMatch(/^bundle\./);
    expect(await files()).toEqual([]);
  });

  test("gets 32 MiB for its window, whoever sends it", async () => {
    const ofWindow = async (windowLog: number) => {
      const compressor = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
      return buffer(streamOf(plainTar).pipe(compressor));
    };
    const refused = await failureOf(await ofWindow(26));
    expect(refused).toMatchObject({
      code: "bundle.malformed",
      message: expect.stringContaining(
        "has a window of 64.0 MiB, which takes that much memory; at most 32.0 MiB",
      ),
      advice: "Compress it again with `zstd -19`, or with at most --long=25.",
    });
    const result = await registry.ingestBundle(streamOf(await ofWindow(25)), [key]);
    expect(result.digest).toBe(bundle.digest);
  });

  test("cannot make the hub remember more than a manifest, whatever it unpacks to", async () => {
    const header = (name: string, type: number, size: number) => {
      const block = Buffer.alloc(512);
      block.write(name);
      block.write("0000644", 100);
      block.write(`${size.toString(8).padStart(11, "0")} `, 124);
      block[156] = type;
      block.write("ustar\x0000", 257);
      block.fill(" ", 148, 156);
      const sum = block.reduce((total, byte) => total + byte, 0);
      block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
      return block;
    };
    const bomb = Buffer.alloc(200 * CHUNK_BYTES);
    const inManifest = zstd(Buffer.concat([header("manifest.json", 0x30, bomb.length), bomb]));
    expect((await failureOf(inManifest)).message).toContain("manifest.json has 209715200 bytes; at most");
    const before = process.memoryUsage().rss;
    const inPaxHeader = zstd(Buffer.concat([header("pax", 0x78, bomb.length), bomb]));
    expect((await failureOf(inPaxHeader)).code).toBe("bundle.malformed");
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * CHUNK_BYTES);
  });
});

describe("a bundle that is made wrongly or with bad intent", () => {
  const [manifest, signature, payload] = bundle.entries as [TarEntry, TarEntry, TarEntry];
  test.each<[string, readonly TarEntry[], string]>([
    ["a name that leads out", [["../manifest.json", "{}"]], '"../manifest.json"'],
    ["an absolute name", [manifest, signature, ["/rootfs.img", "x"]], '"/rootfs.img"'],
    [
      "a symbolic link",
      [[{ name: "manifest.json", type: "symlink", linkname: "/etc/passwd" }, ""]],
      '"manifest.json"',
    ],
    [
      "a hard link",
      [manifest, signature, [{ name: "rootfs.img", type: "link", linkname: "manifest.json" }, ""]],
      '"rootfs.img"',
    ],
    ["two manifests", [manifest, manifest, signature, payload], '"manifest.json"'],
    ["two payloads", [manifest, signature, payload, payload], '"rootfs.img.zst"'],
    ["an unknown entry", [manifest, signature, payload, ["run-me.sh", "x"]], '"run-me.sh"'],
    ["no signature", [manifest, payload], '"rootfs.img.zst"'],
    ["no payload", [manifest, signature], "rootfs.img"],
    ["the payload first", [payload, manifest, signature], '"rootfs.img.zst"'],
    ["nothing", [], "manifest.json"],
    ["a signature that is none", [manifest, ["manifest.sig", "{}"], payload], "manifest.sig"],
    [
      "a manifest that is not text",
      [["manifest.json", Buffer.from([0xff, 0xfe])], signature],
      "manifest.json",
    ],
    ["a signature of a megabyte", [manifest, ["manifest.sig", Buffer.alloc(1e6)], payload], "manifest.sig"],
    ["a plain payload that is too short", withPayload(image.subarray(4096), "rootfs.img"), "rootfs.img"],
    [
      "a plain payload that is too long",
      withPayload(Buffer.concat([image, image]), "rootfs.img"),
      "rootfs.img",
    ],
  ])("is refused by name: %s", async (_, entries, words) => {
    const error = await failureOf(await makeTar(entries));
    expect(error.code).toBe("bundle.malformed");
    expect(error.message).toContain(words);
    expect(error.advice).toBeDefined();
    expect(await files()).toEqual([]);
  });

  test.each([
    ["an empty upload", Buffer.alloc(0), "bundle.truncated"],
    ["not a tar", noise(10_000, 1), "bundle.malformed"],
    ["a gzip", Buffer.concat([Buffer.from([0x1f, 0x8b]), noise(10_000, 1)]), "bundle.malformed"],
  ])("is refused: %s", async (_, bytes, code) => {
    expect((await failureOf(bytes)).code).toBe(code);
  });

  test("cannot unpack to more than it declares", async () => {
    const frames = await Promise.all(cut(image).map(encodeChunk));
    const more = Buffer.concat([
      ...frames,
      ...Array(1000).fill(await encodeChunk(Buffer.alloc(CHUNK_BYTES))),
    ]);
    expect(await failureOf(await makeTar(withPayload(more)))).toMatchObject({ code: "bundle.malformed" });
    const fewer = Buffer.concat(frames.slice(0, 3));
    expect(await failureOf(await makeTar(withPayload(fewer)))).toMatchObject({ code: "bundle.malformed" });
    const longLast = Buffer.concat([...frames.slice(0, 3), await encodeChunk(Buffer.alloc(CHUNK_BYTES))]);
    expect(await failureOf(await makeTar(withPayload(longLast)))).toMatchObject({ code: "bundle.tampered" });
    expect(await files()).toEqual([]);
  });
});

describe("what others need", () => {
  test("stays when an image that shares chunks is removed", async () => {
    const sibling = Buffer.concat([image.subarray(0, 2 * CHUNK_BYTES), noise(4096, 77)]);
    const other = await makeBundle(sibling, key, "frames", { version: "2.0" });
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    await registry.ingestBundle(streamOf(other.bytes), [key]);
    expect(await registry.remove(bundle.digest)).toBe(true);
    expect(await registry.remove(bundle.digest)).toBe(false);
    expect(await registry.manifest(bundle.digest)).toBeUndefined();
    expect((await readImage(other.digest)).equals(sibling)).toBe(true);
    expect(await files()).toHaveLength(4);
  });

  test("stays when an upload that shares chunks fails", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    const before = await files();
    const other = await makeBundle(Buffer.concat([image, noise(CHUNK_BYTES, 5)]), key);
    await failureOf(other.bytes.subarray(0, other.bytes.length - 3000));
    expect(await files()).toEqual(before);
    expect((await readImage()).equals(image)).toBe(true);
  });

  test("stays when it is removed elsewhere while it is being uploaded", async () => {
    const other = await makeBundle(Buffer.concat([image, noise(4096, 6)]), key);
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    const stream = new PassThrough();
    const begun = Promise.withResolvers<void>();
    const upload = registry.ingestBundle(stream, [key], { onProgress: () => begun.resolve() });
    stream.write(other.bytes.subarray(0, -2048));
    await begun.promise;
    await registry.remove(bundle.digest);
    stream.end(other.bytes.subarray(-2048));
    await upload;
    expect((await readImage(other.digest)).length).toBe(image.length + 4096);
  });

  test("findChunk() finds nothing for what is not a digest", async () => {
    expect(await registry.findChunk("../../etc/passwd")).toBeUndefined();
  });
});

describe("a crash", () => {
  test("in the middle of an upload leaves no image, and no rest once the registry is opened again", async () => {
    const script = `
      const { openRegistry } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/images/io/registry.ts"))});
      const registry = await openRegistry(process.argv[1]);
      const key = JSON.parse(process.argv[2]);
      await registry.ingestBundle(process.stdin, [key], { onProgress: () => process.stdout.write("chunk") });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, dir, JSON.stringify(key)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    child.stdin.write(bundle.bytes.subarray(0, -3000));
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await ended;
    child.stdin.destroy();
    await writeFile(join(dir, "chunks", "ab", `${"ab".repeat(32)}.1-1.unfinished`), "half a chunk");

    registry = await openRegistry(dir);
    expect(await registry.manifest(bundle.digest)).toBeUndefined();
    expect((await files()).filter(name => !/^[0-9a-f]{64}$/.test(name))).toEqual([]);
    expect(await registry.ingestBundle(streamOf(bundle.bytes), [key])).toMatchObject({
      alreadyPresent: false,
    });
    expect((await readImage()).equals(image)).toBe(true);
    expect(await files()).toHaveLength(5);
  });
});

describe("a disk that is full", () => {
  test("costs the upload and nothing else", async context => {
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=6m", "drp-test", dir], {
      encoding: "utf8",
    });
    if (mounted.status !== 0)
      context.skip(`cannot mount a small tmpfs: ${mounted.stderr || mounted.error?.message}`);
    try {
      registry = await openRegistry(dir);
      await registry.ingestBundle(streamOf(bundle.bytes), [key]);
      const before = await files();

      const big = await makeBundle(noise(9 * CHUNK_BYTES, 1), key, "frames", { version: "2.0" });
      const error = await failureOf(big.bytes);
      expect(error.code).toBe("storage.full");
      expect(error.message).toContain(dir);
      expect(error.facts).toMatchObject({ folder: dir, neededBytes: 9 * CHUNK_BYTES });
      expect(error.facts.freeBytes).toBeGreaterThan(5 * CHUNK_BYTES);

      expect(await files()).toEqual(before);
      expect((await readImage()).equals(image)).toBe(true);
      const small = await makeBundle(smallImage(4), key, "frames", { version: "3.0" });
      await registry.ingestBundle(streamOf(small.bytes), [key]);
    } finally {
      spawnSync("umount", [dir]);
    }
  });
});

test("a folder that cannot be made is named", async () => {
  await writeFile(join(dir, "file"), "");
  await expect(openRegistry(join(dir, "file", "images"))).rejects.toMatchObject({
    code: "data.unwritable",
    message: expect.stringContaining(join(dir, "file", "images")),
  });
});
