import { execFileSync, spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FileTree } from "../../../src/images/file-tree.ts";
import { ContentSpool } from "../../../src/images/io/content-spool.ts";
import { readDirectoryAsTar } from "../../../src/images/io/directory-source.ts";
import { layTar } from "../../../src/images/io/tar-source.ts";
import type { ContentRun, DirectoryNode, TreeNode } from "../../../src/images/tree-node.ts";
import { noise } from "../bundles.ts";
import { makeOddTree, makeVolume, run, tryRun } from "../ext4-reader/odd-tree.ts";
import {
  complaints,
  describeImage,
  describeTree,
  directory,
  node,
  plan,
  writePlan,
} from "./planned-image.ts";

let dir: string;
/** Noise that files' contents are taken from. */
let spool: string;
const SPOOL_BYTES = 1024 * 1024;
let images = 0;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-plan-"));
  spool = join(dir, "spool");
  await writeFile(spool, noise(SPOOL_BYTES, 1));
});
afterAll(() => rm(dir, { recursive: true }));

function file(sizeBytes: number, ...runs: ContentRun[]): TreeNode {
  const whole = sizeBytes === 0 ? [] : [{ offsetBytes: 0, sizeBytes, storedAtBytes: 0 }];
  return node({ kind: "file", content: { path: spool, sizeBytes, runs: runs.length > 0 ? runs : whole } });
}

async function image(root: DirectoryNode, changes: Parameters<typeof plan>[1] = {}): Promise<string> {
  const path = join(dir, `image-${images++}`);
  await writePlan(plan(root, changes), path);
  return path;
}

async function expectSound(root: DirectoryNode): Promise<string> {
  const path = await image(root);
  expect(complaints(path)).toBe("");
  expect(await describeImage(path)).toEqual(await describeTree(root));
  return path;
}

describe("planExt4() makes a file system that e2fsck finds sound and a reader finds whole", () => {
  test("of nothing", async () => {
    await expectSound(directory({}));
  });

  test("of every kind of node, at the limits of each", async () => {
    const twice = file(5000);
    await expectSound(
      directory(
        {
          empty: file(0),
          "one block": file(4096),
          "one more": file(4097),
          "hard link": twice,
          d: directory(
            { "hard link": twice, deeper: directory({}) },
            { mode: 0o1777, uid: 70_000, gid: 4_000_000_000 },
          ),
          ["n".repeat(255)]: file(1),
          'bytes-\xff\xfe\n"': file(1),
          "link-59": node({ kind: "symlink", target: "a".repeat(59) }),
          "link-60": node({ kind: "symlink", target: "b".repeat(60) }),
          "link-4095": node({ kind: "symlink", target: "c".repeat(4095) }),
          null: node({ kind: "character-device", major: 1, minor: 3 }, { mode: 0o666 }),
          large: node({ kind: "block-device", major: 4095, minor: 1_048_575 }),
          fifo: node({ kind: "fifo" }),
          setuid: node({ kind: "fifo" }, { mode: 0o6755 }),
          past: node({ kind: "fifo" }, { mtime: -(2 ** 31) }),
          future: node({ kind: "fifo" }, { mtime: 2 ** 31 + 3 * 2 ** 32 - 1 }),
        },
        { mode: 0o700 },
      ),
    );
  });

  test("of attributes in the inode, in a block, and of those that just fit", async () => {
    const value = (count: number) => noise(count, count);
    const withXattrs = (...xattrs: [string, Buffer][]) => node({ kind: "fifo" }, { xattrs: new Map(xattrs) });
    const path = await expectSound(
      directory({
        small: withXattrs(["security.capability", value(20)]),
        empty: withXattrs(["user.empty", Buffer.alloc(0)]),
        "fits the inode": withXattrs(["user.a", value(64)]),
        "needs a block": withXattrs(["user.a", value(72)]),
        "fills a block": withXattrs(
          ["user.b", value(2000)],
          ["user.a", value(1900)],
          ["trusted.x", value(80)],
        ),
        many: withXattrs(
          ...Array.from({ length: 30 }, (_, index): [string, Buffer] => [`user.n${index}`, value(index)]),
        ),
      }),
    );
    expect(run("debugfs", "-R", "ea_get -x small security.capability", path)).toContain(
      "security.capability (20)",
    );
  });

  test("of a directory of 6,000 names", async () => {
    const children = new Map(Array.from({ length: 6000 }, (_, index) => [`name number ${index}`, file(0)]));
    await expectSound(directory(children));
  });

  test("of a file with more extents than two levels of its tree hold", async () => {
    const runs = Array.from({ length: 3000 }, (_, index) => ({
      offsetBytes: index * 8192 + 100,
      sizeBytes: 200,
      storedAtBytes: index * 200,
    }));
    const path = await expectSound(
      directory({
        holes: file(3000 * 8192, ...runs),
        hole: file(2 ** 40, { offsetBytes: 2 ** 39, sizeBytes: 10, storedAtBytes: 0 }),
      }),
    );
    expect(run("debugfs", "-R", "stat holes", path)).toContain("ETB1");
  });

  test("of many groups, inodes in each of them and a file across them", async () => {
    // A spool of holes: what is copied is zeros, where it stands is what counts.
    const holes = join(dir, "holes");
    await writeFile(holes, "");
    await truncate(holes, 2 ** 32);
    const large = node({
      kind: "file",
      content: {
        path: holes,
        sizeBytes: 2 ** 32,
        runs: [{ offsetBytes: 0, sizeBytes: 2 ** 32, storedAtBytes: 0 }],
      },
    });
    const folders = Array.from({ length: 20 }, (_, folder): [string, TreeNode] => [
      `folder ${folder}`,
      directory(new Map(Array.from({ length: 500 }, (_, index) => [`${index}`, file(0)]))),
    ]);
    const planned = plan(directory(new Map([["large", large], ...folders])));
    const path = join(dir, "large.img");
    // Its content alone would be 4 GiB of zeros to read.
    await writePlan(
      { ...planned, pieces: planned.pieces.filter(({ bytes }) => bytes.kind === "made") },
      path,
    );
    expect(complaints(path)).toBe("");
    expect((await describeImage(path)).length).toBe(10_022);
    await rm(path);
  });

  test("of any small tree", async () => {
    const name = fc
      .string({ unit: fc.nat(254).map(byte => String.fromCharCode(byte + 1)), minLength: 1, maxLength: 30 })
      .filter(text => !text.includes("/") && text !== "." && text !== "..");
    const leaf = fc.oneof(
      fc.nat(20_000).map(size => file(size)),
      fc
        .string({ unit: "grapheme-ascii", minLength: 1, maxLength: 100 })
        .map(target => node({ kind: "symlink", target })),
      fc
        .record({ major: fc.nat(4095), minor: fc.nat(1_048_575) })
        .map(numbers => node({ kind: "block-device", ...numbers })),
    );
    const tree = fc.letrec<{ directory: DirectoryNode; any: TreeNode }>(tie => ({
      directory: fc
        .array(fc.tuple(name, tie("any")), { maxLength: 12 })
        .map(children => directory(new Map(children))),
      any: fc.oneof({ maxDepth: 4 }, leaf, tie("directory")),
    })).directory;
    await fc.assert(
      fc.asyncProperty(tree, async root => {
        await rm(await expectSound(root));
      }),
      { numRuns: 25 },
    );
  });
});

/** user::rw-, user:7:r--, group::r--, mask::rw-, other::--- */
const ACL = "0200000001000600ffffffff020004000700000004000400ffffffff10000600ffffffff20000000ffffffff";
const SET_ACL = `import os, sys; os.setxattr(sys.argv[1], "system.posix_acl_access", bytes.fromhex("${ACL}"))`;
const SHOW_ACL = 'import os, sys; print(os.getxattr(sys.argv[1], "system.posix_acl_access").hex())';

describe("planExt4() of a real tree", () => {
  let odd: string;
  let tree: FileTree;

  beforeAll(async () => {
    odd = join(dir, "odd");
    await mkdir(odd);
    makeOddTree(odd);
    tryRun("python3", "-c", SET_ACL, join(odd, "empty"));
    tree = new FileTree();
    await using contents = await ContentSpool.create(join(dir, "contents"));
    await layTar(tree, readDirectoryAsTar(odd), contents);
  });

  test("holds what mke2fs makes of it", async () => {
    const ours = await image(tree.root);
    expect(complaints(ours)).toBe("");
    const theirs = join(dir, "theirs.img");
    makeVolume(odd, theirs, "32m", "-t", "ext4", "-N", "3000", "-E", "root_owner=0:0");
    // mke2fs keeps the host's owner and mode for the root, and makes a folder of its own.
    const skip = ["/lost+found"];
    expect((await describeImage(ours)).slice(1)).toEqual((await describeImage(theirs, skip)).slice(1));
  });

  test("is for the kernel what GNU tar packed, and mounting it changes no byte", async context => {
    const path = await image(tree.root);
    const before = hash("sha256", await readFile(path));
    const mountpoint = join(dir, "mnt");
    await mkdir(mountpoint);
    const mounted = spawnSync("mount", ["-o", "loop,ro,noload", path, mountpoint], { encoding: "utf8" });
    if (mounted.status !== 0)
      context.skip(`cannot mount a loop device: ${mounted.stderr || mounted.error?.message}`);
    try {
      const packed = execFileSync(
        "tar",
        ["-c", "--format=posix", "--sparse", "--xattrs", "--xattrs-include=*", "-C", odd, "."],
        {
          maxBuffer: 2 ** 28,
        },
      );
      const compared = spawnSync("tar", ["--diff", "--xattrs", "--xattrs-include=*", "-C", mountpoint], {
        input: packed,
        encoding: "utf8",
      });
      // Its own times are finer than a second; ours are not.
      const differences = compared.stdout
        .split("\n")
        .filter(line => line !== "" && !line.endsWith("Mod time differs"));
      expect(differences).toEqual([]);
      if (tryRun("python3", "-c", SHOW_ACL, join(odd, "empty"))) {
        expect(run("python3", "-c", SHOW_ACL, join(mountpoint, "empty")).trim()).toBe(ACL);
      }
      expect(compared.stderr).toBe("");
    } finally {
      run("umount", mountpoint);
    }
    expect(hash("sha256", await readFile(path))).toBe(before);
  });

  test("is the same each time, another with another identity or time", async () => {
    const digest = async (changes = {}) => hash("sha256", await readFile(await image(tree.root, changes)));
    const first = await digest();
    expect(await digest()).toBe(first);
    expect(await digest({ identity: "other" })).not.toBe(first);
    expect(await digest({ createdAt: 0 })).not.toBe(first);
  });
});

describe("planExt4() with a size that was asked for", () => {
  const root = directory({});

  test("takes it, and leaves the rest free", async () => {
    const path = await image(root, { sizeBytes: 300 * 1024 * 1024 + 4096 });
    expect(complaints(path)).toBe("");
    expect(plan(root, { sizeBytes: 2 ** 26 }).sizeBytes).toBe(2 ** 26);
  });

  test.each([0, 4097, 8192, 2 ** 36 + 4096, 999_999 * 2 ** 40])("refuses %i bytes", sizeBytes => {
    expect(() => plan(root, { sizeBytes })).toThrow(
      `a file system of ${sizeBytes} bytes is not possible here`,
    );
  });

  test("refuses a file of too many names", () => {
    const one = file(0);
    const names = new Map(Array.from({ length: 65_001 }, (_, index) => [`${index}`, one]));
    expect(() => plan(directory(names))).toThrow("has more than 65000 names");
  });
});
