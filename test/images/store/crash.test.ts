/** SIGKILL shows what a dead process leaves. What a power cut leaves is up to the fsyncs before each rename, which no test here can cut. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chunkDigest } from "../../../src/images/digest.ts";
import { type ImageRegistry, openRegistry } from "../../../src/images/io/registry.ts";
import { CHUNK_BYTES, type ImageDigest } from "../../../src/images/manifest.ts";
import { makeBundle, makeKey, noise, seededRandom, streamOf } from "../bundles.ts";

/** Of about 45 file operations in two pushes and a removal: one in each five. */
const MOMENTS = 9;
const key = makeKey();
const common = noise(2 * CHUNK_BYTES, 1);
const bundles = await Promise.all(
  [2, 3].map(seed =>
    makeBundle(Buffer.concat([common, noise(CHUNK_BYTES, seed)]), key, "plain", { version: `${seed}` }),
  ),
);

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-crash-"));
});
afterEach(() => rm(dir, { recursive: true }));

test("a hub that is killed at any moment leaves no chunk that lies, and no image that lacks one", async () => {
  const files = bundles.map((_, index) => join(dir, `${index}.tar`));
  for (const [index, { bytes }] of bundles.entries()) await writeFile(files[index] ?? "", bytes);
  const random = seededRandom(5);
  for (let round = 0; round < MOMENTS; round++) {
    const moment = 5 * round + 1 + Math.floor(random() * 5);
    const folder = join(dir, `${moment}`);
    await ingestUntilKilled(`${moment}`, folder, files);

    const registry = await openRegistry(folder);
    const left = await readdir(folder, { recursive: true });
    expect(left.filter(name => name.endsWith(".unfinished"))).toEqual([]);
    for (const { digest } of bundles)
      expect([0, 3], `moment ${moment}`).toContain(await countWhole(registry, digest));
    // What is there is relied on: a chunk that lies would be one of these images' now.
    for (const { bytes, digest } of bundles) {
      await registry.ingestBundle(streamOf(bytes), [key]);
      expect(await countWhole(registry, digest), `moment ${moment}`).toBe(3);
    }
    expect(await registry.scrub({}), `moment ${moment}`).toMatchObject({ rottenChunks: 0, damagedImages: 0 });
    for (const { digest } of bundles) await registry.remove(digest);
    const rest = await readdir(folder, { recursive: true, withFileTypes: true });
    expect(rest.filter(entry => entry.isFile())).toEqual([]);
  }
}, 120_000);

async function ingestUntilKilled(moment: string, folder: string, files: readonly string[]): Promise<void> {
  const program = join(import.meta.dirname, "ingest-until-killed.ts");
  const child = spawn(process.execPath, [program, moment, folder, JSON.stringify(key), ...files], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  expect(await once(child, "exit"), `moment ${moment}`).toEqual([null, "SIGKILL"]);
}

/** @returns how many chunks it has, each read and right; 0 when it is not visible */
async function countWhole(registry: ImageRegistry, digest: ImageDigest): Promise<number> {
  const reader = await registry.openImage(digest);
  const chunks = reader?.payload.chunks ?? [];
  for (const [index, expected] of chunks.entries()) {
    const bytes = await reader?.readChunk(index);
    expect(chunkDigest(bytes ?? Buffer.alloc(0))).toBe(expected);
  }
  return chunks.length;
}
