import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DeltaOffer } from "../../../src/images/delta-source.ts";
import { chunkDigest } from "../../../src/images/digest.ts";
import { DeltaDesk } from "../../../src/images/io/delta-desk.ts";
import { openDelta } from "../../../src/images/io/delta-file.ts";
import { type ImageRegistry, openRegistry } from "../../../src/images/io/registry.ts";
import { CHUNK_BYTES, type ImageDigest } from "../../../src/images/manifest.ts";
import { makeBundle, makeKey, noise, streamOf } from "../bundles.ts";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");
const key = makeKey();
const old = noise(3 * CHUNK_BYTES, 1);
/** A block less at the start, a few bytes changed. */
const changed = Buffer.concat([old.subarray(4096), noise(4096, 2)]);
changed.write("changed", 1_500_000);

let dir: string;
let deltas: string;
let registry: ImageRegistry;
let v1: ImageDigest;
let v2: ImageDigest;
let now: number;
const errors: unknown[] = [];
const desks: DeltaDesk[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-deltas-"));
  deltas = join(dir, "deltas");
  registry = await openRegistry(dir);
  v1 = await push(old, "1");
  v2 = await push(changed, "2");
  now = Date.now();
  errors.length = 0;
});
afterEach(async () => {
  for (const desk of desks.splice(0)) await desk.stop();
  await rm(dir, { recursive: true });
});

async function push(image: Buffer, version: string): Promise<ImageDigest> {
  const bundle = await makeBundle(image, key, "frames", { version });
  return (await registry.ingestBundle(streamOf(bundle.bytes), [key])).digest;
}

async function openDesk(command: readonly [string, ...string[]] = [process.execPath, MAIN, "delta-process"]) {
  const desk = await DeltaDesk.open({
    dir: deltas,
    registry,
    command,
    maxBytes: 100_000,
    clock: () => now,
    onError: (_context, error) => errors.push(error),
  });
  desks.push(desk);
  return desk;
}

/** What is offered when the work is done. */
async function settled(desk: DeltaDesk, from = v1, to = v2): Promise<DeltaOffer> {
  return await vi.waitFor(
    async () => {
      const offer = await desk.offer(from, to, "s-1");
      if (offer.kind === "computing") throw new Error("still computing");
      return offer;
    },
    { timeout: 50_000, interval: 50 },
  );
}

describe("the delta desk", () => {
  test("answers at once that it computes, and then with a file whose digest it tells and which rebuilds the image", async () => {
    const desk = await openDesk();
    expect(await desk.offer(v1, v2, "s-1")).toMatchObject({ kind: "computing" });
    const offer = await settled(desk);
    if (offer.kind !== "delta") throw new Error(JSON.stringify(offer));
    const bytes = await readFile(offer.path);
    expect([bytes.length, chunkDigest(bytes)]).toEqual([offer.sizeBytes, offer.sha256]);
    expect(offer.sizeBytes).toBeLessThan(20_000);

    const [from, to] = [await registry.openImage(v1), await registry.openImage(v2)];
    if (from === undefined || to === undefined) throw new Error("both were pushed");
    await using image = await openDelta(offer.path, { from: v1, to: v2, payload: to.payload }, from);
    // In any order, several at once.
    const chunks = await Promise.all([2, 0, 1].map(index => image.readChunk(index)));
    expect(chunks[0]?.equals(changed.subarray(2 * CHUNK_BYTES))).toBe(true);
    expect(chunks[1]?.equals(changed.subarray(0, CHUNK_BYTES))).toBe(true);
    expect(chunks[2]?.equals(changed.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES))).toBe(true);
  });

  test("makes a pair once, however many ask, and knows it after a restart", async () => {
    // The process says each time that it runs.
    const runs = join(dir, "runs");
    const script = `echo run >> ${runs}; exec "$0" "$@"`;
    const command = ["sh", "-c", script, process.execPath, MAIN, "delta-process"] as const;
    const desk = await openDesk(command);
    const offers = await Promise.all([1, 2, 3].map(() => settled(desk)));
    const again = await openDesk(command);
    expect(await again.offer(v1, v2, "s-1")).toEqual(offers[0]);
    expect(await readFile(runs, "utf8")).toBe("run\n");
  });

  test("works on two asks of one site at a time: a third is answered and forgotten, and another site's comes next", async () => {
    const third = await push(noise(CHUNK_BYTES, 5), "3");
    const desk = await openDesk();
    const asks = [
      [v1, v2, "s-1"],
      [v2, v1, "s-1"],
      [v1, third, "s-1"],
      [third, v1, "s-2"],
    ] as const;
    for (const [from, to, askedBy] of asks)
      expect(await desk.offer(from, to, askedBy)).toMatchObject({ kind: "computing" });
    await settled(desk, third, v1);
    const records = (await readdir(deltas)).filter(file => file.endsWith(".json"));
    const nameOf = ([from, to]: readonly string[]) => `${from?.slice(7)}-${to?.slice(7)}.json`;
    expect(records.toSorted()).toEqual([asks[0], asks[1], asks[3]].map(nameOf).toSorted());
  });

  test("finds the file that it has offered by its digest, and no other one", async () => {
    const desk = await openDesk();
    const offer = await settled(desk);
    if (offer.kind !== "delta") throw new Error(JSON.stringify(offer));
    expect(desk.findOffered(v1, v2, offer.sha256)).toBe(offer.path);
    expect(desk.findOffered(v1, v2, "0".repeat(64))).toBeUndefined();
    expect(desk.findOffered(v2, v1, offer.sha256)).toBeUndefined();
  });

  test("offers none where the chunks that are new are smaller, with both figures, and remembers it", async () => {
    const stranger = await push(noise(2 * CHUNK_BYTES, 77), "3");
    const desk = await openDesk();
    const offer = await settled(desk, v1, stranger);
    expect(offer).toMatchObject({
      kind: "none",
      because: expect.stringMatching(
        /^the delta takes 2\.0 MiB, the chunks that the older image does not have 2\.0 MiB$/,
      ),
    });
    expect(await readdir(deltas)).toEqual([expect.stringMatching(/\.json$/)]);
    expect(await (await openDesk()).offer(v1, stranger, "s-1")).toEqual(offer);
  });

  test("offers none for images that are not there, and forgets what belongs to them", async () => {
    const desk = await openDesk();
    await settled(desk);
    await registry.remove(v1);
    expect(await desk.offer(v1, v2, "s-1")).toEqual({ kind: "none", because: `${v1} is not on the hub` });
    expect(await readdir(deltas)).toEqual([]);
    expect(await desk.offer(v2, v2, "s-1")).toMatchObject({ kind: "none" });
  });

  test("says why it failed, does not try again at once, and leaves no file", async () => {
    const desk = await openDesk([process.execPath, "-e", "process.exit(3)"]);
    expect(await settled(desk)).toEqual({
      kind: "none",
      because: "the delta was not made: its process ended with exit code 3",
    });
    expect(errors).toHaveLength(1);
    expect(await readdir(deltas)).toEqual([]);
    now += 11 * 60_000;
    expect(await desk.offer(v1, v2, "s-1")).toMatchObject({ kind: "computing" });
  });

  test("makes no delta from a chunk that has rotted", async () => {
    const path = await registry.findChunk(chunkDigest(old.subarray(0, CHUNK_BYTES)));
    await truncate(path ?? "", 1000);
    const offer = await settled(await openDesk());
    expect(offer).toMatchObject({ kind: "none", because: expect.stringContaining("does not decompress") });
  });

  test("clears away what a crash left: unfinished files, deltas without a record, records without their delta", async () => {
    const pair = [v1, v2].map(digest => digest.slice(7)).join("-");
    await mkdir(deltas, { recursive: true });
    await writeFile(join(deltas, `${pair}.delta.1-0.unfinished`), "half");
    await writeFile(join(deltas, `${pair}.delta`), "whole, but nobody said so");
    await openDesk();
    expect(await readdir(deltas)).toEqual([]);

    const record = { formatVersion: 1, kind: "delta", sizeBytes: 10, sha256: "0".repeat(64) };
    await writeFile(join(deltas, `${pair}.json`), JSON.stringify(record));
    await writeFile(join(deltas, `${pair}.delta`), "too short");
    await openDesk();
    expect(await readdir(deltas)).toEqual([]);
  });

  test("stops while it works, and leaves nothing that a next start would believe", async () => {
    const desk = await openDesk();
    await desk.offer(v1, v2, "s-1");
    await desk.stop();
    expect(errors).toEqual([]);
    expect(await settled(await openDesk())).toMatchObject({ kind: "delta" });
  });
});
