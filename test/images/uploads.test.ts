import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DrpError } from "../../src/core/errors.ts";
import { encodeChunk } from "../../src/images/io/chunk-codec.ts";
import { type PushTarget, pushBundle } from "../../src/images/io/push-bundle.ts";
import { type ImageRegistry, openRegistry } from "../../src/images/io/registry.ts";
import { type CompletedUpload, Uploads } from "../../src/images/io/uploads.ts";
import { CHUNK_BYTES } from "../../src/images/manifest.ts";
import { makeBundle, makeKey, makeTar, noise, smallImage, streamOf } from "./bundles.ts";

const key = makeKey();
const image = Buffer.concat([smallImage(), noise(5 * CHUNK_BYTES, 9)]);
const bundle = await makeBundle(image, key);
/** One is of zeros; none comes twice. */
const CHUNKS = 8;

let dir: string;
let registry: ImageRegistry;
let uploads: Uploads;
let sent: string[];
/** Sending the chunk of this number breaks the line. */
let breaksAt: number;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-uploads-"));
  await open();
  sent = [];
  breaksAt = Infinity;
});
afterEach(() => rm(dir, { recursive: true }));

/** As a hub does when it starts. */
async function open(): Promise<void> {
  const opened = await openRegistry(dir);
  registry = opened;
  uploads = await Uploads.open(join(dir, "uploads"), opened, Date.now);
}

const target: PushTarget<CompletedUpload> = {
  begin: head => uploads.begin(streamOf(head), [key]),
  async sendChunk(digest, chunk, frame) {
    if (sent.length >= breaksAt) throw new Error("the line is cut");
    sent.push(chunk);
    await uploads.keepChunk(digest, chunk, frame);
  },
  complete: digest => uploads.complete(digest),
};
const push = (bytes = bundle.bytes, to = target) =>
  pushBundle(streamOf(bytes), to, { onProgress: () => {}, onRetry: () => {} });

async function chunkFiles(): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter(entry => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name))
    .map(entry => entry.name);
}

describe("an upload", () => {
  test.each(["plain", "frames"] as const)(
    "sends each chunk once and makes the image visible (%s)",
    async form => {
      const { bytes } = await makeBundle(image, key, form);
      const { pushed } = await push(bytes);
      expect(pushed).toMatchObject({ digest: bundle.digest, keyId: key.keyId });
      expect(new Set(sent).size).toBe(CHUNKS);
      expect(sent).toHaveLength(CHUNKS);
      expect(await registry.manifest(bundle.digest)).toBeDefined();
    },
  );

  test("sends nothing of an image that is there", async () => {
    await push();
    sent = [];
    expect(await push()).toMatchObject({ sentBytes: 0 });
    expect(sent).toEqual([]);
  });

  test("sends only what the hub has of no other image", async () => {
    await push();
    sent = [];
    const next = await makeBundle(Buffer.concat([image, noise(4096, 3)]), key, "frames", { version: "2" });
    await push(next.bytes);
    expect(sent).toHaveLength(1);
  });

  test("that was cut goes on, also after a restart of the hub", async () => {
    breaksAt = 3;
    await expect(push()).rejects.toThrow("the line is cut");
    expect(await registry.manifest(bundle.digest)).toBeUndefined();
    await open();
    breaksAt = Infinity;
    await push();
    expect(sent).toHaveLength(CHUNKS);
    expect(await registry.manifest(bundle.digest)).toBeDefined();
  });

  test("keeps what has come while other images go", async () => {
    await push();
    const other = await makeBundle(image, key, "frames", { version: "2" });
    const { missing } = await uploads.begin(streamOf(await headOf(other)), [key]);
    expect(missing).toEqual([]);
    expect(await registry.remove(bundle.digest)).toBe(true);
    expect(await uploads.complete(other.digest)).toMatchObject({ digest: other.digest });
  });

  test("that rests for a day is given up, with what came of it", async () => {
    breaksAt = 3;
    await expect(push()).rejects.toThrow("the line is cut");
    expect(await chunkFiles()).toHaveLength(3);
    const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
    for (const name of await readdir(join(dir, "uploads")))
      await utimes(join(dir, "uploads", name), yesterday, yesterday);
    await open();
    const small = await makeBundle(noise(4096, 1), key);
    await uploads.begin(streamOf(await headOf(small)), [key]);
    expect(await chunkFiles()).toEqual([]);
    await expect(uploads.complete(bundle.digest)).rejects.toMatchObject({ code: "upload.unknown" });
  });
});

describe("an upload of two senders", () => {
  test("is completed for both, whoever comes first", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    await uploads.begin(streamOf(await headOf(bundle)), [key]);
    await uploads.begin(streamOf(await headOf(bundle)), [key]);
    const completed = { digest: bundle.digest, keyId: key.keyId };
    expect(await uploads.complete(bundle.digest)).toMatchObject(completed);
    expect(await uploads.complete(bundle.digest)).toMatchObject(completed);
  });

  test("takes away no other upload's protection when both end it", async () => {
    const other = await makeBundle(image, key, "frames", { version: "2" });
    breaksAt = CHUNKS;
    await push();
    await uploads.begin(streamOf(await headOf(other)), [key]);
    await Promise.all([uploads.complete(bundle.digest), uploads.complete(bundle.digest)]);
    await registry.remove(bundle.digest);
    expect(await uploads.complete(other.digest)).toMatchObject({ digest: other.digest });
    expect(await chunkFiles()).toHaveLength(CHUNKS);
  });
});

test("an upload that cannot be read any more does not keep the hub from starting", async () => {
  await writeFile(join(dir, "uploads", `${"ab".repeat(32)}.json`), "{");
  await open();
  expect(await readdir(join(dir, "uploads"))).toEqual([]);
});

describe("an upload refuses", () => {
  test("a frame with something behind it", async () => {
    await uploads.begin(streamOf(await headOf(bundle)), [key]);
    const first = bundle.manifest.payloads[0]?.chunks[0] ?? "";
    const frame = Buffer.concat([await encodeChunk(image.subarray(0, CHUNK_BYTES)), Buffer.from("more")]);
    await expect(uploads.keepChunk(bundle.digest, first, frame)).rejects.toMatchObject({
      code: "bundle.tampered",
    });
  });

  test("a manifest that nobody vouches for", async () => {
    const stranger = await makeBundle(image, makeKey());
    await expect(push(stranger.bytes)).rejects.toMatchObject({ code: "signature.rejected" });
    expect(await readdir(join(dir, "uploads"))).toEqual([]);
  });

  test("a chunk that is another's, and one that the image does not have", async () => {
    await uploads.begin(streamOf(await headOf(bundle)), [key]);
    const [first = "", , second = ""] = bundle.manifest.payloads[0]?.chunks.map(chunk => chunk ?? "") ?? [];
    const frame = await encodeChunk(image.subarray(0, CHUNK_BYTES));
    await expect(uploads.keepChunk(bundle.digest, second, frame)).rejects.toMatchObject({
      code: "bundle.tampered",
    });
    await expect(uploads.keepChunk(bundle.digest, "a".repeat(64), frame)).rejects.toBeInstanceOf(DrpError);
    await uploads.keepChunk(bundle.digest, first, frame);
    expect(await chunkFiles()).toEqual([first]);
  });

  test("to be complete with a chunk missing", async () => {
    await uploads.begin(streamOf(await headOf(bundle)), [key]);
    await expect(uploads.complete(bundle.digest)).rejects.toMatchObject({
      code: "upload.incomplete",
      message: `${CHUNKS} of the ${CHUNKS} chunks of golden:1.0 have not come`,
    });
    expect(await registry.manifest(bundle.digest)).toBeUndefined();
  });

  test("a seventeenth one at the same time", async () => {
    for (let index = 0; index < 17; index++) {
      const small = await makeBundle(noise(4096, index), key, "frames", { version: `${index}` });
      const begun = uploads.begin(streamOf(await headOf(small)), [key]);
      if (index < 16) await begun;
      else await expect(begun).rejects.toMatchObject({ code: "upload.too-many" });
    }
  });
});

/** What a client shows first: manifest and signature. */
function headOf({ entries }: Awaited<ReturnType<typeof makeBundle>>): Promise<Buffer> {
  return makeTar(entries.slice(0, 2));
}
