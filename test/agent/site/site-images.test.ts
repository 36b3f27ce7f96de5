import { spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { SiteImages } from "../../../src/agent/site/io/site-images.ts";
import { chunkDigest } from "../../../src/images/digest.ts";
import { decodeChunk, encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { CHUNK_BYTES, type ImageDigest } from "../../../src/images/manifest.ts";
import { cut, noise, seededRandom, smallImage } from "../../images/bundles.ts";
import { versions, WanSite } from "./wan-site.ts";

const MIB = 1024 * 1024;

let site: WanSite;
beforeEach(async () => {
  site = await WanSite.open();
});
afterEach(() => site[Symbol.asyncDispose]());

const chunksOf = (image: Buffer) => cut(image).map(chunk => chunkDigest(chunk));
const there = (images: SiteImages, image: Buffer) =>
  vi.waitFor(
    async () => {
      for (const [index, chunk] of chunksOf(image).entries()) {
        const path = await images.findChunk(chunk);
        const plain = await decodeChunk(readFileSync(path ?? ""), cut(image)[index]?.length ?? 0);
        expect(plain.equals(cut(image)[index] ?? Buffer.alloc(0))).toBe(true);
      }
    },
    { timeout: 20_000, interval: 50 },
  );
const transferred = (count = 1) =>
  vi.waitFor(() => expect(site.eventsOf("image.transferred")).toHaveLength(count), { timeout: 40_000 });
const install = async (image: Buffer): Promise<{ images: SiteImages; digest: ImageDigest }> => {
  const digest = await site.push(image, { version: "v1" });
  const images = await site.openImages({ view: site.view([digest]) });
  await transferred();
  return { images, digest };
};

test("a chunk comes over the line once, however many machines ask, and is the hub's frame", async () => {
  const image = smallImage();
  const digest = await site.push(image);
  const images = await site.openImages();
  await images.signedManifest(digest);
  const [chunk = ""] = chunksOf(image);
  const [path = "", ...others] = await Promise.all([1, 2, 3].map(() => images.findChunk(chunk)));
  expect(others).toEqual([path, path]);
  expect(readFileSync(path)).toEqual(readFileSync((await site.registry.findChunk(chunk)) ?? ""));
  await transferred();
  const { wholeBytes = 0, bytes = 0 } = site.events[0]?.facts ?? {};
  expect(bytes).toBe(wholeBytes);
});

test("what two images that come at once share comes over the line once", async () => {
  const shared = noise(4 * MIB, 11);
  const first = await site.push(Buffer.concat([shared, noise(MIB, 12)]), { version: "v1" });
  const second = await site.push(Buffer.concat([shared, noise(MIB, 13)]), { version: "v2" });
  await site.openImages({ view: site.view([first, second]) });
  await transferred(2);
  const crossed = site.events.reduce((sum, { facts }) => sum + Number(facts.bytes ?? 0), 0);
  expect(crossed).toBeGreaterThan(6 * MIB);
  expect(crossed).toBeLessThan(6.1 * MIB);
});

test("what the view orders comes before any machine asks, and with the WAN down the site serves it, also after a restart", async () => {
  const { images, digest } = await install(smallImage());
  site.wan.swallow(true);
  site.wan.cut();
  const later = await site.restart(images);
  expect(await later.signedManifest(digest)).toBeDefined();
  await there(later, smallImage().subarray(0, CHUNK_BYTES));
});

test("with the hub away a machine hears it, and gets its chunk as soon as the line is back", async () => {
  const image = smallImage();
  const digest = await site.push(image);
  const images = await site.openImages();
  await images.signedManifest(digest);
  await transferred();
  await site.channel.stop();
  await expect(images.signedManifest(`sha256:${"0".repeat(64)}`)).rejects.toMatchObject({
    code: "hub.unreachable",
  });
});

test("a chunk that no image of the site names is not even asked for", async () => {
  const image = smallImage();
  const digest = await site.push(image);
  const images = await site.openImages();
  const before = site.wan.downBytes;
  expect(await images.findChunk(chunksOf(image)[0] ?? "")).toBeUndefined();
  expect(site.wan.downBytes).toBe(before);
  expect(await images.signedManifest(`sha256:${"0".repeat(64)}`)).toBeUndefined();
  expect(digest).toMatch(/^sha256:/);
});

test("a chunk that the hub gives with other bytes is not kept, is said, and comes once the hub is mended", async () => {
  const image = smallImage();
  const [chunk = ""] = chunksOf(image);
  const digest = await site.push(image);
  const path = (await site.registry.findChunk(chunk)) ?? "";
  const right = readFileSync(path);
  writeFileSync(path, await encodeChunk(Buffer.alloc(CHUNK_BYTES, 7)));
  const images = await site.openImages();
  await images.signedManifest(digest);
  await expect(images.findChunk(chunk)).rejects.toMatchObject({ code: "bundle.tampered" });
  expect(site.eventsOf("image.stalled")[0]?.summary).toContain(chunk);
  writeFileSync(path, right);
  await there(images, image.subarray(0, CHUNK_BYTES));
});

test("of a chunk that is larger at the hub than any frame no more comes than shows it", async () => {
  const image = noise(MIB, 31);
  const digest = await site.push(image);
  const path = (await site.registry.findChunk(chunksOf(image)[0] ?? "")) ?? "";
  writeFileSync(path, noise(8 * MIB, 32));
  await site.openImages({ view: site.view([digest]) });
  await vi.waitFor(() => expect(site.eventsOf("image.failed")).toHaveLength(1), { timeout: 20_000 });
  expect(site.eventsOf("image.failed")[0]?.summary).toContain("came from the hub and");
  // Three times, as it may have been the line.
  expect(site.wan.downBytes).toBeLessThan(3.5 * MIB);
});

test("an update comes as the delta that the hub has, and the event says so with both figures", async () => {
  const [before, after] = versions(4);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  const { sizeBytes } = await site.computeDelta(from, to);
  const down = site.wan.downBytes;
  images.follow(site.view([to], { keptImages: [from] }));
  await transferred(2);
  await there(images, after);
  const event = site.events.at(-1);
  expect(event?.facts).toMatchObject({ how: "delta", bytes: sizeBytes, deltaBytes: sizeBytes, from });
  expect(event?.facts.wholeBytes).toBeGreaterThan(4 * MIB);
  expect(event?.summary).toContain("golden:v2 came as a delta of");
  const overhead = site.wan.downBytes - down - sizeBytes;
  // Headers, the plan, the manifest; TLS adds 22 bytes to each 16 KiB.
  expect(overhead).toBeLessThan(20_000);
});

test("the hub makes one plan at a time for a site, however many it asks for", async () => {
  let [running, most] = [0, 0];
  await using busy = await WanSite.open(async () => ({
    offer: async () => {
      most = Math.max(most, ++running);
      for (let turns = 0; turns < 500; turns++) await new Promise(resolve => setImmediate(resolve));
      running--;
      return { kind: "none", because: "a test says so" };
    },
    findOffered: () => undefined,
  }));
  const [before, after] = versions(1);
  const [from, to] = [await busy.push(before, { version: "v1" }), await busy.push(after, { version: "v2" })];
  const wanted = { held: [from], missing: "", waitsForDelta: true };
  const client = busy.client();
  const plans = await Promise.all([1, 2, 3, 4].map(() => client.planTransfer(to, wanted)));
  expect(plans.map(plan => plan?.kind)).toEqual(Array(4).fill("whole"));
  expect(most).toBe(1);
});

test("where the whole is smaller the chunks come, and the event says why", async () => {
  const [before, after] = versions(2);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  const { path } = await site.computeDelta(from, to);
  site.setDelta(from, to, { kind: "none", because: "its chunks are smaller" });
  expect(path).toBeDefined();
  images.follow(site.view([to]));
  await transferred(2);
  expect(site.events.at(-1)?.facts).toMatchObject({ how: "whole" });
  expect(site.events.at(-1)?.summary).toContain("no delta from golden:v1: its chunks are smaller");
});

test("a delta that the hub still computes is waited for, and a site that has waited long enough takes the chunks", async () => {
  const [before, after] = versions(2);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  site.setDelta(from, to, { kind: "computing", doneBytes: 1, totalBytes: 2 });
  images.follow(site.view([to]));
  await vi.waitFor(() => expect(site.offers).toBeGreaterThan(0));
  expect(site.eventsOf("image.transferred")).toHaveLength(1);
  // An hour on the wall is no hour that has passed.
  site.now += 60 * 60_000;
  const asked = site.offers;
  await vi.waitFor(() => expect(site.offers).toBeGreaterThan(asked), { timeout: 5000 });
  expect(site.eventsOf("image.transferred")).toHaveLength(1);
  site.uptimeMs += 61_000;
  await transferred(2);
  expect(site.events.at(-1)?.facts).toMatchObject({ how: "whole" });
  expect(site.events.at(-1)?.summary).toContain("no delta from golden:v1: the hub still computes it");
});

test("an outage while a plan is made is not counted as waiting: the delta that is ready then is taken", async () => {
  const [before, after] = versions(2);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  await site.computeDelta(from, to);
  site.onOffer = () => {
    if (site.offers > 1) return;
    site.wan.cut();
    site.now += 60 * 60_000;
    site.uptimeMs += 60 * 60_000;
  };
  images.follow(site.view([to]));
  await transferred(2);
  expect(site.events.at(-1)?.facts).toMatchObject({ how: "delta" });
});

test("a delta that was tampered with is dropped and said, and what it did not bring comes whole", async () => {
  const [before, after] = versions(4);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  const { path, sizeBytes } = await site.computeDelta(from, to);
  const delta = readFileSync(path);
  delta[Math.floor(sizeBytes * 0.8)] = (delta[Math.floor(sizeBytes * 0.8)] ?? 0) ^ 1;
  writeFileSync(path, delta);
  images.follow(site.view([to]));
  await transferred(2);
  await there(images, after);
  expect(site.eventsOf("image.delta-dropped")).toHaveLength(1);
  // What the delta's whole groups brought does not come again.
  expect(site.events.at(-1)?.facts.bytes).toBeLessThan(sizeBytes + 3 * MIB);
});

test("a chunk of the old image that rotted comes anew, and the delta goes on", async () => {
  const [before, after] = versions(4);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  const { sizeBytes } = await site.computeDelta(from, to);
  const rotten = (await images.findChunk(chunksOf(before)[1] ?? "")) ?? "";
  truncateSync(rotten, 1000);
  images.follow(site.view([to]));
  await transferred(2);
  await there(images, after);
  expect(site.events.at(-1)?.facts).toMatchObject({ how: "delta" });
  expect(site.events.at(-1)?.facts.bytes).toBeGreaterThan(sizeBytes + MIB);
});

test("a chunk that rotted on the site's disk is removed before it is served, and comes anew", async () => {
  const image = smallImage();
  const { images, digest } = await install(image);
  const [chunk = ""] = chunksOf(image);
  const later = await site.restart(images, { view: site.view([digest]) });
  const path = (await later.findChunk(chunk)) ?? "";
  appendFileSync(path, "x");
  site.now += 2 * 60 * 60_000;
  await there(later, image.subarray(0, CHUNK_BYTES));
  expect(hash("sha256", await decodeChunk(readFileSync(path), CHUNK_BYTES))).toBe(chunk);
});

test.each([1, 2])(
  "a line that is cut again and again, seed %i, costs little more than one that holds",
  async seed => {
    const [before, after] = versions(4);
    const { images, digest: from } = await install(before);
    const to = await site.push(after, { version: "v2" });
    const { sizeBytes } = await site.computeDelta(from, to);
    const random = seededRandom(seed);
    const down = site.wan.downBytes;
    let [next, cuts] = [down + random() * sizeBytes * 0.3, 0];
    site.wan.onDown = total => {
      if (total < next || cuts === 3) return;
      next = total + random() * sizeBytes * 0.3;
      cuts++;
      site.wan.cut();
    };
    images.follow(site.view([to]));
    await transferred(2);
    await there(images, after);
    expect(cuts).toBe(3);
    // What was between the hub's socket and the site at each cut, and a handshake.
    expect(site.wan.downBytes - down - sizeBytes).toBeLessThan(cuts * 128 * 1024);
    expect(site.events.at(-1)?.facts).toMatchObject({ how: "delta" });
    expect(Number(site.events.at(-1)?.facts.bytes)).toBeLessThan(sizeBytes * 1.02);
  },
);

test("after a restart in the midst of a delta only the rest comes", async () => {
  const [before, after] = versions(4);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  const { sizeBytes } = await site.computeDelta(from, to);
  const down = site.wan.downBytes;
  const half = new Promise<void>(resolve => {
    site.wan.onDown = total => {
      if (total > down + sizeBytes * 0.6) resolve();
    };
  });
  const slow = { bandwidth: { bitsPerSecond: 6_000_000, windows: [] }, budget: null };
  const clock = () => Date.now();
  const first = await site.restart(images, { clock, view: site.view([to], { transferLimits: slow }) });
  await half;
  const later = await site.restart(first, { view: site.view([to]) });
  await transferred(2);
  await there(later, after);
  expect(site.events.at(-1)?.facts).toMatchObject({ how: "delta" });
  expect(Number(site.events.at(-1)?.facts.bytes)).toBeLessThan(sizeBytes * 0.75);
});

test("images that the view does not need go oldest first when the cache is full; what it keeps stays", async () => {
  const [one, two] = versions(3);
  const { images, digest: first } = await install(one);
  site.now += 1000;
  const second = await site.push(two, { version: "v2" });
  const full = await site.restart(images, {
    cacheBytes: 7 * MIB,
    view: site.view([second], { keptImages: [first] }),
  });
  await transferred(2);
  const third = await site.push(noise(3 * MIB, 99), { version: "v3" });
  site.now += 1000;
  full.follow(site.view([third], { keptImages: [first] }));
  await transferred(3);
  await there(full, one);
  expect(await full.findChunk(chunksOf(two)[0] ?? "")).toBeUndefined();
});

test.each([
  ["stays for an hour", 59, true],
  ["goes after an hour without an ask", 61, false],
])("an image that a machine asked for and no view names %s", async (_what, minutes, stays) => {
  const image = noise(3 * MIB, 21);
  const [first = "", second = ""] = chunksOf(image);
  const asked = await site.push(image, { version: "v1" });
  const images = await site.openImages({ cacheBytes: 5 * MIB });
  await images.signedManifest(asked);
  await transferred();
  site.now += 59 * 60_000;
  expect(await images.findChunk(first)).toBeDefined();
  site.now += minutes * 60_000;
  images.follow(site.view([await site.push(noise(3 * MIB, 22), { version: "v2" })]));
  await transferred(2);
  expect((await images.findChunk(second)) !== undefined).toBe(stays);
});

test("the image that a delta builds on stays until the delta is through, although the cache is full and nobody needs it", async () => {
  const [before, after] = versions(4);
  const { images, digest: from } = await install(before);
  const to = await site.push(after, { version: "v2" });
  await site.computeDelta(from, to);
  await site.restart(images, { cacheBytes: 6 * MIB, view: site.view([to]) });
  await transferred(2);
  expect(site.events.at(-1)?.facts).toMatchObject({ how: "delta" });
});

test("where the disk holds one of both images only, the old one goes, its delta is dropped, and no chunk of it is fetched", async context => {
  const folder = join(site.dir, "small");
  mkdirSync(folder);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=10m", "drp-test", folder], {
    encoding: "utf8",
  });
  if (mounted.status !== 0) context.skip(`cannot mount a small tmpfs: ${mounted.stderr}`);
  try {
    const [before, after] = versions(8);
    const from = await site.push(before, { version: "v1" });
    const images = await site.openImages({ view: site.view([from]) }, "small");
    await transferred();
    const to = await site.push(after, { version: "v2" });
    const { sizeBytes } = await site.computeDelta(from, to);
    images.follow(site.view([to]));
    await transferred(2);
    await there(images, after);
    expect(site.eventsOf("image.delta-dropped")[0]?.summary).toContain("golden:v1 is not here any more");
    expect(site.events.at(-1)?.facts.bytes).toBeLessThan(sizeBytes + 8 * MIB);
    expect(await images.findChunk(chunksOf(before)[0] ?? "")).toBeUndefined();
    await images.stop();
  } finally {
    spawnSync("umount", [folder]);
  }
});

test("a disk that is full gives up what nobody needs, and where that is not enough, says so at the hub and to machines", async context => {
  const folder = join(site.dir, "small");
  mkdirSync(folder);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=7m", "drp-test", folder], {
    encoding: "utf8",
  });
  if (mounted.status !== 0) context.skip(`cannot mount a small tmpfs: ${mounted.stderr}`);
  try {
    const [before, after] = versions(4);
    const first = await site.push(before, { version: "v1" });
    const images = await site.openImages({ view: site.view([first]) }, "small");
    await transferred();
    const second = await site.push(after, { version: "v2" });
    images.follow(site.view([second]));
    await transferred(2);
    await there(images, after);
    const huge = noise(8 * MIB, 77);
    const third = await site.push(huge, { version: "v3" });
    images.follow(site.view([third], { keptImages: [second] }));
    await vi.waitFor(() => expect(site.eventsOf("image.held")).toHaveLength(1), { timeout: 20_000 });
    expect(site.eventsOf("image.held")[0]?.summary).toMatch(
      /^golden:v3 is held: .*small is full: golden:v3 waits for room; it goes on when there is room$/,
    );
    await images.stop();
  } finally {
    spawnSync("umount", [folder]);
  }
});
