import { hash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { ImageCache } from "../../../src/agent/site/io/image-cache.ts";
import { imageDigest } from "../../../src/images/digest.ts";
import { CHUNK_BYTES, type ChunkDigest } from "../../../src/images/manifest.ts";
import { manifestOf } from "../../images/bundles.ts";

/** Their bytes do not matter here. */
const CHUNKS = Array.from({ length: 1000 }, (_, index) => hash("sha256", String(index)));

function signedImage(version: string, chunks: readonly ChunkDigest[]) {
  const payload = { sizeBytes: chunks.length * CHUNK_BYTES, chunkBytes: CHUNK_BYTES, chunks: [...chunks] };
  const manifestText = JSON.stringify(
    manifestOf(Buffer.alloc(4096), { version, payloads: [{ name: "rootfs.img", ...payload }] }),
  );
  const signature = { formatVersion: 1, keyId: "0".repeat(64), signature: `${"A".repeat(86)}==` } as const;
  return { digest: imageDigest(manifestText), signed: { manifestText, signature } };
}

async function openCache(folder: string): Promise<ImageCache> {
  const cache = await ImageCache.open(folder, () => 0);
  const old = signedImage("v1", CHUNKS);
  await cache.keepManifest(old.digest, old.signed);
  await Promise.all(CHUNKS.map(chunk => cache.writeChunk(chunk, Buffer.from("frame"))));
  return cache;
}

test("an image that is learned of while another one goes has every chunk that it was told it has", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "drp-cache-"));
  const cache = await openCache(folder.path);
  const freed = cache.free(Number.POSITIVE_INFINITY, new Set());
  const [first = ""] = CHUNKS;
  await vi.waitFor(() => expect(cache.hasChunk(first)).toBe(false), { interval: 1 });
  const next = signedImage("v2", CHUNKS);
  const image = await cache.keepManifest(next.digest, next.signed);
  if (image === undefined) throw new Error("it is a manifest");
  const missing = new Set(cache.missingChunks(image));
  await freed;
  const there = CHUNKS.filter(chunk => !missing.has(chunk));
  expect(there.filter(chunk => !cache.hasChunk(chunk))).toEqual([]);
});

test("what is written anew while it is being removed stays", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "drp-cache-"));
  const cache = await openCache(folder.path);
  await Promise.all(
    CHUNKS.map(async chunk => {
      const removed = cache.removeChunk(chunk);
      expect(cache.hasChunk(chunk)).toBe(false);
      await cache.writeChunk(chunk, Buffer.from("frame"));
      await removed;
    }),
  );
  const paths = CHUNKS.map(chunk => join(folder.path, "chunks", chunk.slice(0, 2), chunk));
  expect(paths.filter(path => !existsSync(path))).toEqual([]);
});
