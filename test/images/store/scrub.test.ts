import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chunkDigest } from "../../../src/images/digest.ts";
import { encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { type ImageRegistry, openRegistry } from "../../../src/images/io/registry.ts";
import type { ScrubFinding, ScrubReport } from "../../../src/images/io/scrub.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import { makeBundle, makeKey, noise, smallImage, streamOf } from "../bundles.ts";

const key = makeKey();
const image = smallImage();
const bundle = await makeBundle(image, key);
const sibling = await makeBundle(Buffer.concat([image, noise(CHUNK_BYTES, 9)]), key, "frames", {
  version: "2.0",
});
const shared = bundle.manifest.payloads[0]?.chunks[0] ?? "";

let dir: string;
let registry: ImageRegistry;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-scrub-"));
  registry = await openRegistry(dir);
});
afterEach(() => rm(dir, { recursive: true }));

const push = ({ bytes } = bundle) => registry.ingestBundle(streamOf(bytes), [key]);
const chunkFile = (digest: string) => join(dir, "chunks", digest.slice(0, 2), digest);

async function scrub(): Promise<{ report: ScrubReport; findings: ScrubFinding[] }> {
  const findings: ScrubFinding[] = [];
  const report = await registry.scrub({ onFinding: async finding => void findings.push(finding) });
  return { report, findings };
}

test("a store without a fault is reported as such, and left as it is", async () => {
  await push();
  await push(sibling);
  const shares: number[] = [];
  const report = await registry.scrub({ onProgress: ({ share }) => shares.push(share) });
  expect(report).toMatchObject({ checkedChunks: 5, rottenChunks: 0, removedOrphans: 0, damagedImages: 0 });
  expect(shares.at(-1)).toBe(1);
  expect(shares).toEqual(shares.toSorted((one, other) => one - other));
  expect(await push()).toMatchObject({ alreadyPresent: true, repairedChunks: 0 });
});

test.each<[string, (path: string) => Promise<void>]>([
  ["a flipped bit", async path => flipByte(path)],
  ["a lost end", path => truncate(path, 10)],
  ["nothing left", path => truncate(path, 0)],
  ["something behind its end", path => appendFile(path, "x")],
  ["a second frame behind its end", async path => appendFile(path, await encodeChunk(Buffer.from("more")))],
  ["another chunk's bytes", async path => writeFile(path, await encodeChunk(Buffer.alloc(CHUNK_BYTES, "o")))],
])("a chunk with %s is moved aside, its images are named, and a second push mends them", async (_, rot) => {
  await push();
  await push(sibling);
  await rot(chunkFile(shared));
  const rotten = await readFile(chunkFile(shared));

  const { report, findings } = await scrub();
  expect(report).toMatchObject({ checkedChunks: 5, rottenChunks: 1, damagedImages: 2 });
  const [found, ...damaged] = findings;
  const keptAt = join(dir, "quarantine", shared);
  expect(found).toMatchObject({ kind: "rotten-chunk", chunk: shared, keptAt });
  expect(await readFile(keptAt)).toEqual(rotten);
  expect(new Set(damaged)).toEqual(
    new Set(
      [bundle, sibling].map(({ digest }) => ({ kind: "incomplete-image", image: digest, missingChunks: 1 })),
    ),
  );
  expect(await registry.findChunk(shared)).toBeUndefined();
  const reader = await registry.openImage(bundle.digest);
  await expect(reader?.readChunk(0)).rejects.toMatchObject({
    code: "storage.damaged",
    message: expect.stringContaining("golden:1.0"),
  });

  expect(await push()).toMatchObject({ alreadyPresent: false, repairedChunks: 1 });
  expect(chunkDigest((await reader?.readChunk(0)) ?? Buffer.alloc(0))).toBe(shared);
  expect((await scrub()).report).toMatchObject({ rottenChunks: 0, damagedImages: 0 });
});

test("what a broken upload left is removed; what a running one has brought stays", async () => {
  const orphan = "ab".repeat(32);
  await writeFile(join(dir, "chunks", "ab", orphan), await encodeChunk(Buffer.from("orphan")));
  const begun = Promise.withResolvers<void>();
  const stream = new PassThrough();
  const upload = registry.ingestBundle(stream, [key], { onProgress: () => begun.resolve() });
  stream.write(bundle.bytes.subarray(0, -2048));
  await begun.promise;
  expect((await scrub()).report).toMatchObject({ removedOrphans: 1, rottenChunks: 0, damagedImages: 0 });
  stream.end(bundle.bytes.subarray(-2048));
  await upload;
  expect((await scrub()).report).toMatchObject({ checkedChunks: 3, removedOrphans: 0, damagedImages: 0 });
});

test("an upload that relied on a chunk which then proves rotten is refused, and goes through the second time", async () => {
  await push();
  await flipByte(chunkFile(shared));
  const begun = Promise.withResolvers<void>();
  const stream = new PassThrough();
  const upload = registry.ingestBundle(stream, [key], { onProgress: () => begun.resolve() });
  upload.catch(() => {});
  stream.write(sibling.bytes.subarray(0, -2048));
  await begun.promise;
  await scrub();
  stream.end(sibling.bytes.subarray(-2048));
  await expect(upload).rejects.toMatchObject({ code: "storage.damaged" });
  expect(await registry.manifest(sibling.digest)).toBeUndefined();
  expect(await push(sibling)).toMatchObject({ alreadyPresent: false });
  // The first image has its chunk again as well.
  expect((await scrub()).report).toMatchObject({ damagedImages: 0 });
});

test.each(["json", "sig"])(
  "a manifest that has rotted (.%s) is named, and a second push mends it",
  async ending => {
    await push();
    const file = join(dir, "manifests", `${bundle.digest.slice("sha256:".length)}.${ending}`);
    await flipByte(file);
    registry = await openRegistry(dir);
    await expect(registry.manifest(bundle.digest)).rejects.toMatchObject({ code: "storage.damaged" });
    const { report, findings } = await scrub();
    expect(findings).toMatchObject([{ kind: "damaged-manifest", image: bundle.digest }]);
    // Its chunks may still be needed: nothing counts as left over now.
    expect(report).toMatchObject({ removedOrphans: 0, checkedChunks: 3, damagedImages: 1 });
    await push();
    expect((await scrub()).report).toMatchObject({ damagedImages: 0 });
    expect(await registry.remove(bundle.digest)).toBe(true);
    expect(await readdir(join(dir, "manifests"))).toEqual([]);
  },
);

test.each(["json", "sig"])(
  "a manifest of which only one file is left is damaged, not gone (without .%s)",
  async ending => {
    await push();
    await rm(join(dir, "manifests", `${bundle.digest.slice("sha256:".length)}.${ending}`));
    registry = await openRegistry(dir);
    await expect(registry.manifest(bundle.digest)).rejects.toMatchObject({ code: "storage.damaged" });
    const { report, findings } = await scrub();
    expect(findings).toMatchObject([{ kind: "damaged-manifest", image: bundle.digest }]);
    expect(report).toMatchObject({ removedOrphans: 0, checkedChunks: 3 });
    await push();
    expect((await scrub()).report).toMatchObject({ damagedImages: 0 });
  },
);

test("a manifest that cannot be opened for a reason of the process is not called damaged", async () => {
  await push();
  const file = join(dir, "manifests", `${bundle.digest.slice("sha256:".length)}.json`);
  await rm(file);
  await mkdir(file);
  await expect(registry.manifest(bundle.digest)).rejects.toMatchObject({ code: "EISDIR" });
});

test("a second push of an image with a rotten manifest that is cut takes none of its chunks along", async () => {
  await push();
  await flipByte(join(dir, "manifests", `${bundle.digest.slice("sha256:".length)}.json`));
  registry = await openRegistry(dir);
  await expect(registry.ingestBundle(streamOf(bundle.bytes.subarray(0, -3000)), [key])).rejects.toThrow();
  for (const chunk of bundle.manifest.payloads[0]?.chunks ?? [])
    if (chunk !== null) expect((await stat(chunkFile(chunk))).isFile()).toBe(true);
});

test("a check that is aborted stops", async () => {
  await push();
  await expect(registry.scrub({ signal: AbortSignal.abort() })).rejects.toThrow("aborted");
});

async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}
