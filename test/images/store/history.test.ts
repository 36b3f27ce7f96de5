import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { planTransfer } from "../../../src/agent/hub/io/plan-transfer.ts";
import { encodeChunkBitmap, listChunks } from "../../../src/images/chunk-bitmap.ts";
import type { ChunkQuestion } from "../../../src/images/delta/process-messages.ts";
import { decodeChunk } from "../../../src/images/io/chunk-codec.ts";
import type { MakeDelta } from "../../../src/images/io/image-store.ts";
import { makeDelta } from "../../../src/images/io/make-delta.ts";
import { openRegistry, type Registry } from "../../../src/images/io/registry.ts";
import type { ScrubFinding } from "../../../src/images/io/scrub.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import type { HistoryImage } from "../../../src/images/plan-history.ts";
import { makeBundle, makeKey, noise, streamOf, type TestBundle } from "../bundles.ts";

const key = makeKey();
const CHUNKS = 3;
/** Each version has one block in each chunk that no other version has: no chunk is shared, and nearly every block is. */
const images = [1, 2, 3, 4].map(version => {
  const image = noise(CHUNKS * CHUNK_BYTES, 1);
  for (let at = 0; at < image.length; at += CHUNK_BYTES) noise(4096, version).copy(image, at + 8192);
  return image;
});
const versions = await Promise.all(
  images.map((image, index) =>
    makeBundle(image, key, "frames", { version: `v${index + 1}`, release: index + 1 }),
  ),
);
const [v1, v2, v3, v4] = versions as [TestBundle, TestBundle, TestBundle, TestBundle];

let dir: string;
let registry: Registry;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-history-"));
  registry = await openRegistry(dir);
});
afterEach(() => rm(dir, { recursive: true }));

const inThisProcess: MakeDelta = (job, placeOf) =>
  makeDelta(
    job,
    (question: ChunkQuestion) => placeOf(question),
    () => {},
  );

const push = ({ bytes }: TestBundle) => registry.ingestBundle(streamOf(bytes), [key]);

/** @param whole which of them something needs */
const planOf = (kept: readonly TestBundle[], whole: readonly TestBundle[]) =>
  kept.map(
    (bundle): HistoryImage => ({
      digest: bundle.digest,
      name: bundle.manifest.name,
      architecture: bundle.manifest.architecture,
      release: bundle.manifest.release,
      keepWhole: whole.includes(bundle),
    }),
  );

const compact = (kept: readonly TestBundle[], whole: readonly TestBundle[], make = inThisProcess) =>
  registry.compact(planOf(kept, whole), make, new AbortController().signal);

async function expectReadable(...bundles: readonly TestBundle[]): Promise<void> {
  for (const bundle of bundles) {
    const reader = await registry.openImage(bundle.digest);
    const chunks = bundle.manifest.payloads[0]?.chunks ?? [];
    for (const [index, chunk] of chunks.entries()) {
      const expected = images[versions.indexOf(bundle)]?.subarray(
        index * CHUNK_BYTES,
        (index + 1) * CHUNK_BYTES,
      );
      const read = await reader?.readChunk(index);
      expect(read?.equals(expected ?? Buffer.alloc(0)), `${bundle.manifest.version}, chunk ${index}`).toBe(
        true,
      );
      const served = await readFile((await registry.findChunk(chunk ?? "")) ?? "");
      expect((await decodeChunk(served, CHUNK_BYTES)).equals(expected ?? Buffer.alloc(0))).toBe(true);
    }
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(join(dir, folder), { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(({ name }) => name);
}

async function scrub(): Promise<ScrubFinding[]> {
  const findings: ScrubFinding[] = [];
  await registry.scrub({ onFinding: async finding => void findings.push(finding) });
  return findings;
}

async function flipByte(path: string, fromEnd: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length - fromEnd] = (bytes[bytes.length - fromEnd] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

const manifestOf = ({ digest }: TestBundle) =>
  join(dir, "manifests", `${digest.slice("sha256:".length)}.json`);
const deltaOf = ({ digest }: TestBundle) => join(dir, "history", `${digest.slice("sha256:".length)}.delta`);

test("old images take the room of their differences, and are read, served and found as before", async () => {
  for (const version of versions) await push(version);
  expect(await filesIn("chunks")).toHaveLength(4 * CHUNKS);
  expect(await compact(versions, [v4])).toEqual({ encoded: 3, restored: 0, refused: 0 });
  expect(await filesIn("chunks")).toHaveLength(CHUNKS);
  expect((await stat(deltaOf(v1))).size).toBeLessThan(CHUNKS * 5000);
  await expectReadable(...versions);
  expect(await push(v1)).toMatchObject({ alreadyPresent: true });
  expect(await scrub()).toEqual([]);
  registry = await openRegistry(dir);
  await expectReadable(...versions);
  expect(await compact(versions, [v4])).toEqual({ encoded: 0, restored: 0, refused: 0 });
});

test("a plan of how an old image comes to a site guesses what its chunks weigh, and rebuilds none", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  const files = await filesIn(".");
  const missing = encodeChunkBitmap(listChunks(v1.manifest), () => true);
  const wanted = { held: [], missing, waitsForDelta: true };
  const plan = await planTransfer({ registry, deltas: null }, "s-1", v1.digest, wanted);
  expect(plan).toMatchObject({ kind: "whole", wholeBytes: (CHUNKS * CHUNK_BYTES) / 2 });
  expect(await filesIn(".")).toEqual(files);
});

test("what is needed again is made whole, and what was over the old newest one moves to the new", async () => {
  for (const version of [v1, v2, v3]) await push(version);
  await compact([v1, v2, v3], [v3]);
  await push(v4);
  expect(await compact(versions, [v1, v4])).toEqual({ encoded: 2, restored: 1, refused: 0 });
  expect(await filesIn("chunks")).toHaveLength(2 * CHUNKS);
  expect((await filesIn("history")).sort()).toEqual(
    [v2, v3].map(({ digest }) => `${digest.slice(7)}.delta`).sort(),
  );
  await expectReadable(...versions);
});

test("a delta that saves little is not kept", async () => {
  const other = await makeBundle(noise(2 * CHUNK_BYTES, 77), key, "frames", { version: "v0", release: 9 });
  await push(v1);
  await push(other);
  expect(await compact([v1, other], [other])).toEqual({ encoded: 0, restored: 0, refused: 1 });
  await expectReadable(v1);
  // Not tried again and again.
  expect(await compact([v1, other], [other])).toEqual({ encoded: 0, restored: 0, refused: 0 });
  expect(await filesIn("history")).toEqual([]);
});

describe("an image that others are over", () => {
  test("is gone for everyone when it is removed, and its chunks go with the last delta", async () => {
    for (const version of [v1, v2]) await push(version);
    await compact([v1, v2], [v2]);
    expect(await registry.remove(v2.digest)).toBe(true);
    for (let start = 0; start < 2; start++) {
      expect(await registry.manifest(v2.digest)).toBeUndefined();
      expect(await registry.openImage(v2.digest)).toBeUndefined();
      expect(await scrub()).toEqual([]);
      await expectReadable(v1);
      registry = await openRegistry(dir);
    }
    await push(v3);
    await compact([v1, v3], [v3]);
    await expectReadable(v1, v3);
    expect(await filesIn("chunks")).toHaveLength(CHUNKS);
    expect(await registry.remove(v1.digest)).toBe(true);
    expect(await registry.remove(v3.digest)).toBe(true);
    expect(await filesIn("chunks")).toEqual([]);
    expect(await filesIn("history")).toEqual([]);
    expect(await filesIn("manifests")).toEqual([]);
  });

  test("may be pushed again after it was removed", async () => {
    for (const version of [v1, v2]) await push(version);
    await compact([v1, v2], [v2]);
    await registry.remove(v2.digest);
    await push(v2);
    await expectReadable(v1, v2);
    await registry.remove(v1.digest);
    await expectReadable(v2);
  });

  test("is named where its rot takes them along; when it is mended, they are whole", async () => {
    for (const version of [v1, v2]) await push(version);
    await compact([v1, v2], [v2]);
    const chunk = v2.manifest.payloads[0]?.chunks[0] ?? "";
    await writeFile(join(dir, "chunks", chunk.slice(0, 2), chunk), "rot");
    const findings = await scrub();
    expect(findings).toContainEqual({ kind: "incomplete-image", image: v2.digest, missingChunks: 1 });
    expect(findings).toContainEqual(
      expect.objectContaining({ kind: "rotten-delta", image: v1.digest, keptAt: null }),
    );
    await push(v2);
    expect(await scrub()).toEqual([]);
    await expectReadable(v1, v2);
  });
});

test("a delta that rots is moved aside, its image is named, and a second push mends it", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  const bytes = await readFile(deltaOf(v1));
  bytes[bytes.length - 2000] = (bytes[bytes.length - 2000] ?? 0) ^ 1;
  await writeFile(deltaOf(v1), bytes);
  registry = await openRegistry(dir);
  const findings = await scrub();
  expect(findings).toMatchObject([
    { kind: "rotten-delta", image: v1.digest, keptAt: expect.stringContaining("quarantine") },
    { kind: "incomplete-image", image: v1.digest, missingChunks: CHUNKS },
  ]);
  expect(await push(v1)).toMatchObject({ repairedChunks: CHUNKS });
  await expectReadable(v1, v2);
  expect(await scrub()).toEqual([]);
});

test("an upload may rely on chunks that lie in no file", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  const sibling = await makeBundle(
    Buffer.concat([images[0] ?? Buffer.alloc(0), noise(4096, 5)]),
    key,
    "frames",
    {
      version: "v1b",
    },
  );
  await push(sibling);
  // Its chunks are files again: it is whole, whatever becomes of the first.
  await registry.remove(v1.digest);
  const reader = await registry.openImage(sibling.digest);
  expect((await reader?.readChunk(0))?.equals(images[0]?.subarray(0, CHUNK_BYTES) ?? Buffer.alloc(0))).toBe(
    true,
  );
  expect(await scrub()).toEqual([]);
});

test("a delta that rots is named and moved aside by the first who reads it, and a second push mends it", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  await flipByte(deltaOf(v1), 2000);
  const reader = await registry.openImage(v1.digest);
  await expect(reader?.readChunk(CHUNKS - 1)).rejects.toMatchObject({
    code: "storage.damaged",
    message: expect.stringContaining(v1.digest),
    advice: expect.stringContaining("Push the same bundle again"),
  });
  expect(await filesIn("history")).toEqual([]);
  expect(await filesIn("quarantine")).toHaveLength(1);
  expect(await push(v1)).toMatchObject({ repairedChunks: CHUNKS });
  await expectReadable(v1, v2);
  expect(await scrub()).toEqual([]);
});

test("an image whose delta has rotted does not keep the others from their turn", async () => {
  for (const version of versions) await push(version);
  await compact([v1, v2], [v2]);
  await flipByte(deltaOf(v1), 2000);
  // The second one is to go over the first, and fails as well.
  await expect(compact(versions, [v1, v4])).rejects.toThrow(v1.digest);
  expect(await filesIn("history")).toEqual([`${v3.digest.slice("sha256:".length)}.delta`]);
  await expectReadable(v2, v3, v4);
});

test("a delta whose head has rotted does not keep the hub from starting", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  await writeFile(deltaOf(v1), "rot");
  registry = await openRegistry(dir);
  expect(await scrub()).toEqual([{ kind: "incomplete-image", image: v1.digest, missingChunks: CHUNKS }]);
  await push(v1);
  await expectReadable(v1, v2);
});

describe("an image whose manifest cannot be read when the hub starts", () => {
  test("loses none of its chunks to what others do meanwhile, and is whole when it can be read again", async () => {
    const [image = Buffer.alloc(0)] = images;
    const rest = Buffer.concat([image, noise(4096, 5)]);
    const sibling = await makeBundle(rest, key, "frames", { version: "v1b" });
    for (const version of [v1, v2, sibling]) await push(version);
    await compact([v1, v2], [v2]);
    const kept = await filesIn("chunks");
    const text = await readFile(manifestOf(sibling));
    await writeFile(manifestOf(sibling), "rot");
    registry = await openRegistry(dir);
    await compact([v1, v2], [v2]);
    await registry.remove(v1.digest);
    expect(await filesIn("chunks")).toEqual(kept);
    // The disk gives what it has again.
    await writeFile(manifestOf(sibling), text);
    expect(await scrub()).toEqual([]);
    const reader = await registry.openImage(sibling.digest);
    expect((await reader?.readChunk(0))?.equals(image.subarray(0, CHUNK_BYTES))).toBe(true);
    await registry.remove(v2.digest);
    await registry.remove(sibling.digest);
    expect(await filesIn("chunks")).toEqual([]);
  });

  test("and that others are over: a second push mends it and them", async () => {
    for (const version of [v1, v2]) await push(version);
    await compact([v1, v2], [v2]);
    await writeFile(manifestOf(v2), "rot");
    registry = await openRegistry(dir);
    await expect(registry.remove(v2.digest)).rejects.toMatchObject({ code: "storage.damaged" });
    expect(await scrub()).toContainEqual(
      expect.objectContaining({ kind: "damaged-manifest", image: v2.digest }),
    );
    await push(v2);
    await expectReadable(v1, v2);
    expect(await scrub()).toEqual([]);
  });
});

test.each([
  ["what it is over", [v2, v1]],
  ["itself", [v1]],
])(
  "a removed image's rotten manifest hinders no start; its delta is named, and mended by a push of %s",
  async (_, pushed) => {
    for (const version of [v1, v2]) await push(version);
    await compact([v1, v2], [v2]);
    await registry.remove(v2.digest);
    await writeFile(join(dir, "history", "bases", v2.digest.slice("sha256:".length)), "rot");
    registry = await openRegistry(dir);
    expect(await scrub()).toContainEqual({
      ...{ kind: "incomplete-image", image: v1.digest, missingChunks: CHUNKS },
    });
    for (const version of pushed) await push(version);
    await expectReadable(...pushed);
    registry = await openRegistry(dir);
    expect(await scrub()).toEqual([]);
    await expectReadable(...pushed);
  },
);

test("a base that a crash left without its last delta goes at the next start", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  await registry.remove(v2.digest);
  await rm(manifestOf(v1));
  await rm(manifestOf(v1).replace(/json$/, "sig"));
  await rm(deltaOf(v1));
  registry = await openRegistry(dir);
  expect(await filesIn("history")).toEqual([]);
  expect(await filesIn("chunks")).toEqual([]);
});

test("what an upload relies on stays when the delta that holds it goes", async () => {
  for (const version of [v1, v2]) await push(version);
  await compact([v1, v2], [v2]);
  const held = new Set(v1.manifest.payloads[0]?.chunks.filter(chunk => chunk !== null));
  await registry.pin(held);
  await registry.remove(v1.digest);
  for (const chunk of held) expect(await registry.hasChunk(chunk)).toBe(true);
  await registry.unpin(held);
  expect(await filesIn("chunks")).toHaveLength(CHUNKS);
});

test("a delta that is not made, and one that proves wrong, cost nothing", async () => {
  for (const version of [v1, v2]) await push(version);
  const failing: MakeDelta = () => Promise.reject(new Error("no memory"));
  await expect(compact([v1, v2], [v2], failing)).rejects.toThrow("no memory");
  const lying: MakeDelta = async (job, placeOf) => {
    const made = await inThisProcess(job, placeOf);
    const bytes = await readFile(job.path);
    bytes[bytes.length - 2000] = (bytes[bytes.length - 2000] ?? 0) ^ 1;
    await writeFile(job.path, bytes);
    return made;
  };
  await expect(compact([v1, v2], [v2], lying)).rejects.toMatchObject({ code: "storage.damaged" });
  expect(await filesIn("history")).toEqual([]);
  expect(await filesIn("chunks")).toHaveLength(2 * CHUNKS);
  await expectReadable(v1, v2);
});

test("a hub that is killed at any moment of it can read every image, and goes on where it was", async () => {
  for (const version of [v1, v2]) await push(version);
  const program = join(import.meta.dirname, "compact-until-killed.ts");
  const plan = JSON.stringify(planOf([v1, v2], [v2]));
  let ending: unknown;
  let moment = 1;
  // Until it is through before its moment has come.
  for (; ending !== 0; moment += 4) {
    const folder = `${dir}-${moment}`;
    await cp(dir, folder, { recursive: true });
    try {
      const child = spawn(process.execPath, [program, `${moment}`, folder, plan], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      let signal: unknown;
      [ending, signal] = await once(child, "exit");
      expect([ending, signal], `moment ${moment}`).toEqual(ending === 0 ? [0, null] : [null, "SIGKILL"]);
      registry = await openRegistry(folder);
      expect(await scrub(), `moment ${moment}`).toEqual([]);
      const isVisible = (await registry.manifest(v2.digest)) !== undefined;
      await expectReadable(...(isVisible ? [v1, v2] : [v1]));
      await push(v2);
      await compact([v1, v2], [v2]);
      await expectReadable(v1, v2);
      await registry.remove(v1.digest);
      await registry.remove(v2.digest);
      const rest = await readdir(folder, { recursive: true, withFileTypes: true });
      const kept = rest.filter(
        entry => entry.isFile() && !entry.parentPath.startsWith(join(folder, "rebuilt")),
      );
      expect(kept, `moment ${moment}`).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  // Several in the delta's making, its adoption, the sweep, and the removal.
  expect(moment).toBeGreaterThan(15);
}, 120_000);
