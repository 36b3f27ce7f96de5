import { execFileSync } from "node:child_process";
import { link, mkdir, mkdtemp, open, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DrpError } from "../../src/core/errors.ts";
import { FileTree } from "../../src/images/file-tree.ts";
import { ContentSpool } from "../../src/images/io/content-spool.ts";
import { layTar } from "../../src/images/io/tar-source.ts";
import type { FileContent, TreeNode } from "../../src/images/tree-node.ts";
import { noise } from "./bundles.ts";
import { encodeEntry, type RawEntry, rawTar, sealed } from "./raw-tar.ts";

let dir: string;
let spools = 0;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-tar-"));
});
afterAll(() => rm(dir, { recursive: true }));

/** @param pieceBytes how the stream is cut */
async function lay(archive: Buffer, pieceBytes = 65_536, tree = new FileTree()): Promise<FileTree> {
  const path = join(dir, `spool-${spools++}`);
  await using spool = await ContentSpool.create(path);
  await layTar(
    tree,
    (async function* () {
      for (let at = 0; at < archive.length; at += pieceBytes) yield archive.subarray(at, at + pieceBytes);
    })(),
    spool,
  );
  return tree;
}

async function contentOf(node: TreeNode | undefined): Promise<Buffer> {
  if (node?.kind !== "file") throw new Error(`it is a ${node?.kind}`);
  return await readContent(node.content);
}

async function readContent({ path, sizeBytes, runs }: FileContent): Promise<Buffer> {
  const content = Buffer.alloc(sizeBytes);
  await using file = await open(path);
  for (const run of runs) await file.read(content, run.offsetBytes, run.sizeBytes, run.storedAtBytes);
  return content;
}

describe("layTar() of what GNU tar writes", () => {
  let root: string;
  const longName = `${"directory of a long name/".repeat(6)}${"f".repeat(200)}`;
  const sparse = Buffer.alloc(3_000_000);
  // More stretches than an old header holds, and more than its first extension.
  for (let index = 0; index < 40; index++) noise(100, index).copy(sparse, index * 70_000 + 5);

  beforeAll(async () => {
    root = join(dir, "root");
    await mkdir(join(root, longName, ".."), { recursive: true });
    await writeFile(join(root, longName), "long");
    await link(join(root, longName), join(root, "hard"));
    await symlink("../../etc/passwd", join(root, "link"));
    await writeFile(join(root, "noise"), noise(200_001, 7));
    await writeFile(
      Buffer.concat([Buffer.from(join(root, "bytes-")), Buffer.from([0xff, 0xfe])]),
      "not UTF-8",
    );
    await writeFile(join(root, "empty"), "");
    await using file = await open(join(root, "sparse"), "w");
    for (let at = 0; at < sparse.length; at += 4096) {
      const block = sparse.subarray(at, at + 4096);
      if (block.some(byte => byte !== 0)) await file.write(block, 0, block.length, at);
    }
    await truncate(join(root, "sparse"), sparse.length);
    await using hole = await open(join(root, "hole"), "w");
    await hole.truncate(2 ** 33);
  });

  test.each([
    ["gnu", "--format=gnu", "--sparse"],
    ["oldgnu", "--format=oldgnu", "--sparse"],
    ["pax, sparse 0.0", "--format=posix", "--sparse", "--sparse-version=0.0"],
    ["pax, sparse 0.1", "--format=posix", "--sparse", "--sparse-version=0.1"],
    ["pax, sparse 1.0", "--format=posix", "--sparse", "--sparse-version=1.0"],
    ["pax, not sparse", "--format=posix", "--exclude=hole"],
  ])("keeps names, links, bytes and holes: %s", async (_, ...flags) => {
    const archive = execFileSync("tar", ["--create", ...flags, "--directory", root, "."], {
      maxBuffer: 2 ** 30,
    });
    for (const pieceBytes of [65_536, 777]) {
      const tree = await lay(archive, pieceBytes);
      expect((await contentOf(tree.find(longName))).toString()).toBe("long");
      expect(tree.find("hard")).toBe(tree.find(longName));
      expect(tree.root.children.get("link")).toMatchObject({ kind: "symlink", target: "../../etc/passwd" });
      expect((await contentOf(tree.find("bytes-\xff\xfe"))).toString()).toBe("not UTF-8");
      expect((await contentOf(tree.find("noise"))).equals(noise(200_001, 7))).toBe(true);
      expect((await contentOf(tree.find("sparse"))).equals(sparse)).toBe(true);
      if (!flags.includes("--exclude=hole")) {
        expect(tree.find("hole")).toMatchObject({ content: { sizeBytes: 2 ** 33, runs: [] } });
      }
    }
  });

  test("gives every entry what the archive says of all, the first one too", async () => {
    const flags = ["--format=posix", "--pax-option=globexthdr.name=all,mtime=1000000000,delete=?time"];
    const archive = execFileSync("tar", ["--create", ...flags, "--directory", root, "noise", "empty"]);
    const tree = await lay(archive);
    expect(["noise", "empty"].map(name => tree.find(name)?.mtime)).toEqual([1_000_000_000, 1_000_000_000]);
  });

  test("sees the same holes whether the archive tells of them or not", async () => {
    const pack = (...flags: string[]) =>
      execFileSync("tar", ["--create", "--format=posix", ...flags, "--directory", root, "sparse"], {
        maxBuffer: 2 ** 30,
      });
    const runs = async (archive: Buffer) => {
      const node = (await lay(archive)).find("sparse");
      return node?.kind === "file" ? node.content.runs : [];
    };
    expect(await runs(pack())).toEqual(await runs(pack("--sparse")));
  });

  test("is cut short at any block: an error that tells where", async () => {
    const archive = execFileSync("tar", ["--create", "--sparse", "--directory", root, "sparse", "noise"]);
    const end = archive.length - 10_240;
    for (let length = 0; length < end; length += 5 * 512 + 100) {
      await expect(lay(archive.subarray(0, length)), `${length}`).rejects.toMatchObject({
        code: "input.unreadable",
        facts: { offsetBytes: expect.any(Number) },
      });
    }
  });
});

describe("layTar() of archives made by hand", () => {
  const value = Buffer.from([0x01, 0x00, 0x00, 0x02, 0x0a, 0xff, 0x3d, 0xfe]);

  test("keeps binary attributes, devices, times before 1970 and owners beyond ustar's", async () => {
    const tree = await lay(
      rawTar(
        {
          name: "ping",
          pax: [
            ["SCHILY.xattr.security.capability", value],
            ["uid", "4000000000"],
          ],
        },
        { name: "old", pax: [["mtime", "-1.5"]] },
        { name: "base64", pax: [["LIBARCHIVE.xattr.user.a%3Db", value.toString("base64")]] },
        { name: "null", type: "3", device: [1, 3], mode: 0o666 },
        { name: "disk", type: "4", device: [259, 70_000] },
        { name: "pipe", type: "6" },
        { name: "setuid", mode: 0o4755 },
      ),
    );
    expect(tree.find("ping")).toMatchObject({
      uid: 4_000_000_000,
      xattrs: new Map([["security.capability", value]]),
    });
    expect(tree.find("base64")?.xattrs).toEqual(new Map([["user.a=b", value]]));
    expect(tree.find("old")).toMatchObject({ mtime: -2 });
    expect(tree.find("null")).toMatchObject({ kind: "character-device", major: 1, minor: 3, mode: 0o666 });
    expect(tree.find("disk")).toMatchObject({ kind: "block-device", major: 259, minor: 70_000 });
    expect(tree.find("pipe")).toMatchObject({ kind: "fifo" });
    expect(tree.find("setuid")).toMatchObject({ mode: 0o4755 });
  });

  test("reads access control lists as text, numbers only", async () => {
    const acl = "user::rw-,user:lp:r--:7,group::r--,mask::r--,other::---";
    const tree = await lay(rawTar({ name: "f", pax: [["SCHILY.acl.access", acl]] }));
    expect(tree.find("f")?.xattrs.get("system.posix_acl_access")?.toString("hex")).toBe(
      `02000000${["01000600ffffffff", "0200040007000000", "04000400ffffffff", "10000400ffffffff", "20000000ffffffff"].join("")}`,
    );
    await expect(
      lay(rawTar({ name: "f", pax: [["SCHILY.acl.access", "user:lp:r--"]] })),
    ).rejects.toMatchObject({
      message: 'entry "f" at byte 0 has the access control entry "user:lp:r--", which is not understood',
    });
  });

  test("an archive's records hold from the very next entry on, and give way to its own", async () => {
    const archiveRecords = (mtime: number): RawEntry => ({
      name: "global",
      type: "g",
      content: `12 mtime=${mtime}\n`,
    });
    const tree = await lay(
      rawTar(
        archiveRecords(11),
        { name: "first" },
        { name: "own", pax: [["mtime", "33"]] },
        archiveRecords(22),
        { name: "later" },
        { name: "back", pax: [["mtime", ""]] },
      ),
    );
    const mtimes = ["first", "own", "later"].map(name => tree.find(name)?.mtime);
    expect(mtimes).toEqual([11, 33, 22]);
    expect(tree.find("back")?.mtime).toBe(1_700_000_000);
  });

  const file = (name: string, more: Partial<RawEntry> = {}): RawEntry => ({ name, content: "x", ...more });
  const link = (name: string, linkName: string, type = "2"): RawEntry => ({ name, linkName, type });
  test.each<[string, RawEntry[], string]>([
    [
      "a name that climbs",
      [file("ok"), file("a/../../b")],
      'entry "a/../../b" at byte 1024 has ".." in its name',
    ],
    ["an absolute name", [file("/etc/passwd")], 'entry "/etc/passwd" at byte 0 has an absolute name'],
    [
      "a NUL in a name",
      [file("x", { pax: [["path", "a\0b"]] })],
      'entry "a\\u0000b" at byte 0 has a NUL in its name',
    ],
    ["no name", [file("")], 'entry "" at byte 0 has no name'],
    [
      "a name too long",
      [file("x", { pax: [["path", "n".repeat(256)]] })],
      "has a part of 256 bytes in its name",
    ],
    [
      "a path too deep",
      [file("x", { pax: [["path", `${"d/".repeat(299)}x`]] })],
      "lies 300 directories deep",
    ],
    [
      "a way through a link that leaves the root",
      [link("out", "../../.."), file("out/etc/passwd")],
      'entry "out/etc/passwd" at byte 512 goes through the symbolic link "out"',
    ],
    [
      "a way through a file",
      [file("a"), file("a/b")],
      'entry "a/b" at byte 1024 lies below what is no directory',
    ],
    [
      "a hard link that climbs",
      [link("h", "../x", "1")],
      'is a hard link to "../x", which has ".." in its name',
    ],
    [
      "a hard link to nothing",
      [link("h", "nowhere", "1")],
      'is a hard link to "nowhere", which is not there',
    ],
    [
      "a hard link to a directory",
      [{ name: "d/", type: "5" }, link("h", "d", "1")],
      'entry "h" at byte 512 is a hard link to "d", which is a directory',
    ],
    ["a file over a full directory", [file("d/x"), file("d")], "would replace a directory that is not empty"],
    ["a symbolic link to nothing", [link("s", "")], 'entry "s" at byte 0 is a symbolic link to nothing'],
    ["an unknown type", [file("q", { type: "Q" })], 'has 1 bytes of content, which its type "Q" cannot have'],
    ["a directory with content", [file("d/", { type: "5" })], 'which its type "5" cannot have'],
    [
      "a size that is no number",
      [file("x", { sizeField: "12 monkeys" })],
      "byte 0 has a size that is no octal number",
    ],
    [
      "a size beyond counting",
      [file("x", { sizeField: `\x80${"\xff".repeat(11)}` })],
      "byte 0 has a size of",
    ],
    ["a negative size", [file("x", { sizeField: "\xff".repeat(12) })], 'entry "x" at byte 0 has -1 bytes'],
    [
      "an owner that is no number",
      [file("x", { pax: [["uid", "root"]] })],
      'has "root" where a number belongs',
    ],
    [
      "a time out of ext4's range",
      [file("x", { pax: [["mtime", "99999999999"]] })],
      "has a time of 99999999999",
    ],
    [
      "an attribute of no known kind",
      [file("x", { pax: [["SCHILY.xattr.btrfs.compression", "zstd"]] })],
      'has the attribute "btrfs.compression", which ext4 has no place for',
    ],
    [
      "attributes that no block holds",
      [file("x", { pax: [["SCHILY.xattr.user.big", Buffer.alloc(5000)]] })],
      "has more extended attributes than a block can hold",
    ],
    [
      "a sparse map that goes back",
      [
        file("x", {
          pax: [
            ["GNU.sparse.size", "9"],
            ["GNU.sparse.map", "5,1,0,0"],
          ],
        }),
      ],
      "has a sparse map that goes back",
    ],
    [
      "a sparse map beyond the file",
      [
        file("x", {
          pax: [
            ["GNU.sparse.size", "9"],
            ["GNU.sparse.map", "9,1"],
          ],
        }),
      ],
      "has a sparse map beyond its 9 bytes",
    ],
    [
      "a sparse map of more than is stored",
      [
        file("x", {
          pax: [
            ["GNU.sparse.size", "9"],
            ["GNU.sparse.map", "0,5"],
          ],
        }),
      ],
      "has a sparse map of 5 bytes and 1 bytes of content",
    ],
  ])("refuses %s", async (_, entries, words) => {
    await expect(lay(rawTar(...entries))).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringContaining(words),
    });
  });

  test("refuses another archive behind the first, and an end that is no end", async () => {
    const entry = encodeEntry({ name: "a" });
    await expect(
      lay(Buffer.concat([entry, Buffer.alloc(512), entry, Buffer.alloc(1024)])),
    ).rejects.toMatchObject({
      message: "the tar's block at byte 512 is zeros with more archive behind it",
    });
    await expect(lay(entry)).rejects.toMatchObject({
      message: "the tar ends after 512 bytes, within a header",
    });
    await expect(lay(Buffer.concat([entry, noise(512, 1)]))).rejects.toMatchObject({
      message: expect.stringMatching(/^the tar's block at byte 512 is no tar header/),
    });
  });

  test("lets a later entry win, and a directory keep what it holds", async () => {
    const tree = await lay(
      rawTar(
        { name: "./etc//x", content: "old" },
        { name: "etc/", type: "5", mode: 0o700 },
        { name: "etc/x", content: "new" },
        { name: "now-a-file", type: "5" },
        { name: "now-a-file", content: "file" },
        { name: "now-a-directory", content: "file" },
        { name: "now-a-directory", type: "5" },
        { name: "./", type: "5", mode: 0o711 },
      ),
    );
    expect((await contentOf(tree.find("etc/x"))).toString()).toBe("new");
    expect(tree.find("etc")).toMatchObject({ mode: 0o700 });
    expect(tree.find("now-a-file")).toMatchObject({ kind: "file" });
    expect(tree.find("now-a-directory")).toMatchObject({ kind: "directory" });
    expect(tree.root.mode).toBe(0o711);
  });

  test("survives any damage: it lays something or says what is wrong", async () => {
    const archive = rawTar(
      {
        name: "a",
        content: "content",
        pax: [
          ["SCHILY.xattr.user.x", value],
          ["mtime", "1.5"],
        ],
      },
      { name: "long", type: "L", content: "n".repeat(120) },
      {
        name: "b",
        content: noise(600, 3),
        pax: [
          ["GNU.sparse.size", "9000"],
          ["GNU.sparse.map", "0,300,5000,300"],
        ],
      },
      { name: "c", type: "1", linkName: "a" },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (changes, seal) => {
          const damaged = Buffer.from(archive);
          for (const [at, byte] of changes) damaged[at] = byte;
          // With the checksums put right again, the damage is met by what lies behind them.
          if (seal)
            for (let at = 0; at < damaged.length - 1024; at += 512) {
              if (damaged.toString("latin1", at + 257, at + 262) === "ustar")
                sealed(damaged.subarray(at, at + 512));
            }
          await lay(damaged).catch((error: unknown) => {
            if (!(error instanceof DrpError)) throw error;
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("layTar() of OCI layers", () => {
  const layers = async (...archives: Buffer[]): Promise<FileTree> => {
    const tree = new FileTree();
    for (const archive of archives) {
      tree.beginLayer();
      await lay(archive, 65_536, tree);
    }
    return tree;
  };
  const lower = rawTar(
    { name: "d/old", content: "1" },
    { name: "d/sub/x", content: "1" },
    { name: "keep", content: "1" },
  );

  test.each([
    ["before", [{ name: "d/.wh..wh..opq" }, { name: "d/new" }]],
    ["behind", [{ name: "d/new" }, { name: "d/.wh..wh..opq" }]],
  ])("an opaque mark %s its siblings hides the lower layers only", async (_, upper) => {
    const tree = await layers(lower, rawTar(...upper));
    const directory = tree.find("d");
    expect(directory?.kind === "directory" && [...directory.children.keys()]).toEqual(["new"]);
    expect(tree.find("keep")).toBeDefined();
  });

  test("a whiteout hides a name of the lower layers and never one of its own", async () => {
    const tree = await layers(
      lower,
      rawTar(
        { name: "keep", content: "2" },
        { name: ".wh.keep" },
        { name: "d/sub/y" },
        { name: "d/.wh.sub" },
        { name: ".wh.nothing" },
      ),
    );
    expect((await contentOf(tree.find("keep"))).toString()).toBe("2");
    expect(tree.find("d/sub/x")).toBeUndefined();
    expect(tree.find("d/sub/y")).toBeDefined();
    expect(tree.find("d/old")).toBeDefined();
  });

  test("opaque marks without number on a large directory take no longer than one", async () => {
    const names = Array.from({ length: 20_000 }, (_, index) => ({ name: `d/${index}` }));
    const marks = Array.from({ length: 2000 }, () => ({ name: "d/.wh..wh..opq" }));
    const tree = await layers(lower, rawTar(...names, ...marks, { name: "d/last" }, ...marks));
    const directory = tree.find("d");
    expect(directory?.kind === "directory" && directory.children.size).toBe(20_001);
    // One at a time they would take half a minute.
  }, 10_000);

  test("a layer's opaque mark hides also what the layer before it laid under one", async () => {
    const marked = (name: string) => rawTar({ name: "d/.wh..wh..opq" }, { name: `d/${name}` });
    const directory = (await layers(lower, marked("a"), marked("b"))).find("d");
    expect(directory?.kind === "directory" && [...directory.children.keys()]).toEqual(["b"]);
  });

  test("a directory that is a link in a lower layer is entered, within the root", async () => {
    const linked = rawTar({ name: "usr/lib", type: "5" }, { name: "lib", type: "2", linkName: "/usr/lib" });
    const tree = await layers(linked, rawTar({ name: "lib/x.so" }));
    expect(tree.find("usr/lib/x.so")).toBeDefined();
    expect(tree.root.children.get("lib")?.kind).toBe("symlink");
    const out = rawTar({ name: "out", type: "2", linkName: "../../etc" });
    await expect(layers(out, rawTar({ name: "out/passwd" }))).rejects.toMatchObject({
      message: 'entry "out/passwd" at byte 0 goes through a symbolic link that leads out of the root',
    });
    const loop = rawTar({ name: "a", type: "2", linkName: "b" }, { name: "b", type: "2", linkName: "a" });
    await expect(layers(loop, rawTar({ name: "a/x" }))).rejects.toMatchObject({
      message: 'entry "a/x" at byte 0 goes through too many symbolic links',
    });
  });

  test("a file replaces a directory and all below it", async () => {
    const tree = await layers(lower, rawTar({ name: "d", content: "file" }));
    expect((await contentOf(tree.find("d"))).toString()).toBe("file");
  });
});

test("a file of a tar is nowhere on this host but in the spool", async () => {
  const before = await readFile("/etc/passwd");
  await expect(
    lay(rawTar({ name: "x", type: "2", linkName: "/etc" }, { name: "x/passwd", content: "" })),
  ).rejects.toThrow();
  expect((await readFile("/etc/passwd")).equals(before)).toBe(true);
});
