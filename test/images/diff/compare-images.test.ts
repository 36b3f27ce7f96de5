import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareImages, type ImageComparison } from "../../../src/images/diff/compare-images.ts";
import { compareManifests } from "../../../src/images/diff/compare-manifests.ts";
import type { ImageReader } from "../../../src/images/image-reader.ts";
import { manifestOf, noise } from "../bundles.ts";
import { makeOddTree, makeVolume, run, tryRun } from "../ext4-reader/odd-tree.ts";

let dir: string;
let v1: string;
let v2: string;
let reads = 0;

const breathe = async () => {};

function readerOf(image: Buffer): ImageReader {
  const [payload] = manifestOf(image).payloads;
  if (payload === undefined) throw new Error("no payload");
  return {
    payload,
    readChunk: async index => {
      reads++;
      if (payload.chunks[index] === null) return null;
      return image.subarray(index * payload.chunkBytes, (index + 1) * payload.chunkBytes);
    },
  };
}

const STATUS = `Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2-1
Description: a shell
 Version: 9 is not a field here

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: old
Status: install ok installed
Architecture: all
Version: 2
`;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "drp-diff-"));
  v1 = join(dir, "v1");
  v2 = join(dir, "v2");
  mkdirSync(join(v1, "var/lib/dpkg"), { recursive: true });
  makeOddTree(v1);
  writeFileSync(join(v1, "var/lib/dpkg/status"), STATUS);
  run("cp", "-a", v1, v2);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const volumeOf = (tree: string, ...options: string[]) =>
  makeVolume(tree, join(dir, "volume.img"), "24m", "-t", "ext4", "-N", "3000", ...options);

async function compare(before: Buffer, after: Buffer): Promise<ImageComparison> {
  return await compareImages(readerOf(before), readerOf(after), breathe);
}

function filesOf({ files }: ImageComparison) {
  if (files.kind !== "compared") throw new Error(files.reason);
  return files;
}

describe("compareImages()", () => {
  test("finds nothing between a tree and its copy, even with other blocks in other places", async () => {
    const files = filesOf(await compare(volumeOf(v1), volumeOf(v2, "-b", "2048")));
    expect(files).toEqual({
      kind: "compared",
      totals: { added: 0, removed: 0, changed: 0, addedBytes: 0, removedBytes: 0, changedBytes: 0 },
      changes: [],
      omitted: 0,
    });
  });

  test("reads no file where the chunks are the same", async () => {
    const image = volumeOf(v1);
    reads = 0;
    await compare(image, image);
    const all = reads;
    expect(all).toBeLessThan(image.length / 1024 / 1024);
  });

  test("names every file that came, went or changed, what of it, and the packages", async () => {
    const before = volumeOf(v1);
    writeFileSync(join(v2, "new"), noise(70_000, 3));
    rmSync(join(v2, "many"), { recursive: true });
    mkdirSync(join(v2, "many"));
    writeFileSync(join(v2, "small"), "jello\n");
    run("chmod", "0755", join(v2, "small"));
    rmSync(join(v2, "short-link"));
    symlinkSync("large", join(v2, "short-link"));
    rmSync(join(v2, "empty"));
    mkdirSync(join(v2, "empty"));
    writeFileSync(join(v2, "empty", "inside"), "x");
    const hasCapability = tryRun("setcap", "-r", join(v2, "large"));
    run("chmod", "0600", join(v2, "sparse"));
    writeFileSync(join(v2, "holes"), "now short");
    writeFileSync(
      join(v2, "var/lib/dpkg/status"),
      STATUS.replace("5.2-1", "5.2-2").replace("Package: old", "Package: fresh"),
    );
    const { packages, ...rest } = await compare(before, volumeOf(v2));
    const files = filesOf({ packages, ...rest });
    const removed = files.changes.filter(({ change }) => change === "removed");
    expect(removed).toHaveLength(800);
    expect(files.changes.filter(({ change }) => change !== "removed").map(({ path }) => path)).toEqual([
      "empty",
      "empty/inside",
      ...(hasCapability ? ["hard-link"] : []),
      "holes",
      ...(hasCapability ? ["large"] : []),
      "new",
      "short-link",
      "small",
      "sparse",
      "var/lib/dpkg/status",
    ]);
    const of = (path: string) => files.changes.find(change => change.path === path);
    expect(of("new")).toMatchObject({ change: "added", type: "file", sizeBefore: null, sizeAfter: 70_000 });
    expect(of("small")).toMatchObject({
      content: true,
      mode: { before: "4751", after: "755" },
      sizeBefore: 6,
      sizeAfter: 6,
    });
    expect(of("sparse")).toMatchObject({ content: false, mode: { before: "644", after: "600" } });
    expect(of("short-link")).toMatchObject({ content: false, target: { before: "small", after: "large" } });
    expect(of("empty")).toMatchObject({ type: "directory", kind: { before: "file", after: "directory" } });
    if (hasCapability)
      expect(of("large")).toMatchObject({ content: false, attributes: ["security.capability"] });
    expect(files.totals).toMatchObject({ added: 2, removed: 800, addedBytes: 70_001 });
    expect(packages).toEqual({
      kind: "compared",
      system: "dpkg",
      added: [{ name: "fresh:all", version: "2" }],
      removed: [{ name: "old:all", version: "2" }],
      changed: [{ name: "bash:amd64", before: "5.2-1", after: "5.2-2" }],
    });
  });

  test("counts bytes that both have, wherever they lie", async () => {
    const chunk = 1024 * 1024;
    const image = (...seeds: number[]) => Buffer.concat(seeds.map(seed => noise(chunk, seed)));
    const { chunks, files } = await compare(image(1, 2, 3), image(9, 3, 2));
    expect(chunks).toEqual({ sharedBytes: 2 * chunk, newBytes: chunk, goneBytes: chunk });
    expect(files).toEqual({
      kind: "not-compared",
      reason:
        "the file system of the first image cannot be read: there is no ext4 superblock at byte 1024; " +
        "the file system of the second image cannot be read: there is no ext4 superblock at byte 1024",
    });
  });

  test("says where a file system contradicts itself, and ends", async () => {
    const image = volumeOf(v1);
    const broken = Buffer.from(image);
    // The root directory's block, behind "." and "..": the next entry has no length.
    const at = broken.indexOf(Buffer.from([0x0c, 0x00, 0x02, 0x02, 0x2e, 0x2e])) + 8;
    broken.writeUInt16LE(0, at + 4);
    const { files } = await compare(image, broken);
    expect(files).toMatchObject({
      kind: "not-compared",
      reason: expect.stringContaining("a directory entry of 0 bytes"),
    });
  });

  test("ends when nobody waits any more", async () => {
    const image = volumeOf(v1);
    let left = 20;
    const leave = async () => {
      if (--left < 0) throw new Error("gone");
    };
    await expect(compareImages(readerOf(image), readerOf(image), leave)).rejects.toThrow("gone");
  });

  test("reads Alpine's package database", async () => {
    const trees = ["3.1", "3.2"].map(version => {
      const tree = join(dir, `alpine-${version}`);
      mkdirSync(join(tree, "lib/apk/db"), { recursive: true });
      writeFileSync(
        join(tree, "lib/apk/db/installed"),
        `C:Q1\nP:musl\nV:${version}\nA:x86_64\nF:lib\n\nP:busybox\nV:1\n`,
      );
      return makeVolume(tree, join(dir, "alpine.img"), "8m", "-t", "ext4");
    });
    const [before = Buffer.alloc(0), after = Buffer.alloc(0)] = trees;
    expect((await compare(before, after)).packages).toMatchObject({
      system: "apk",
      changed: [{ name: "musl", before: "3.1", after: "3.2" }],
    });
  });

  test("refuses a package database whose files are too large together, though they are holes", async () => {
    const tree = join(dir, "holes");
    const folder = join(tree, "var/lib/dpkg/status.d");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "base"), STATUS);
    for (const name of ["a", "b"]) run("truncate", "-s", "40M", join(folder, name));
    const image = makeVolume(tree, join(dir, "holes.img"), "8m", "-t", "ext4");
    expect((await compare(image, volumeOf(v1))).packages).toMatchObject({
      kind: "not-compared",
      reason: expect.stringContaining(
        "the package database in /var/lib/dpkg/status.d is larger than 67108864 bytes",
      ),
    });
  });
});

test("compareManifests() names arguments, checks and attachments that came, went or changed", () => {
  const image = noise(4096, 1);
  const check = { name: "app", exec: ["/bin/true"], timeoutSeconds: 5 };
  const before = manifestOf(image, { kernelArguments: ["quiet", "a=1"], healthChecks: [check] });
  const after = manifestOf(image, {
    kernelArguments: ["a=2", "quiet"],
    healthChecks: [{ ...check, timeoutSeconds: 6 }],
  });
  expect(compareManifests(before, after)).toEqual({
    kernelArguments: { added: ["a=2"], removed: ["a=1"], changed: [] },
    healthChecks: { added: [], removed: [], changed: ["app"] },
    attachments: { added: [], removed: [], changed: [] },
  });
  expect(compareManifests(before, before).healthChecks.changed).toEqual([]);
});
