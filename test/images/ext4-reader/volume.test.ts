import { hash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DecodeError } from "../../../src/core/errors.ts";
import { deviceNumber, type Inode } from "../../../src/images/ext4-reader/inode.ts";
import { displayName, Ext4Volume, ROOT_INODE } from "../../../src/images/ext4-reader/volume.ts";
import { makeHoles, makeOddTree, makeVolume, run } from "./odd-tree.ts";

let dir: string;
let tree: string;
let told: readonly string[];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "drp-ext4-"));
  tree = join(dir, "tree");
  mkdirSync(tree);
  makeOddTree(tree);
  told = describeTree();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function openVolume(image: Buffer): Promise<Ext4Volume> {
  const read = async (offset: number, length: number) => {
    if (offset < 0 || offset + length > image.length)
      throw new RangeError(`${offset} + ${length} is out of bounds`);
    return image.subarray(offset, offset + length);
  };
  return Ext4Volume.open(read, image.length);
}

interface Seen {
  readonly path: string;
  readonly inode: Inode;
}

async function* walk(volume: Ext4Volume, inode: Inode, path: string): AsyncGenerator<Seen> {
  yield { path, inode };
  if (inode.kind !== "directory") return;
  for (const entry of await volume.readDirectory(inode)) {
    yield* walk(volume, await volume.readInode(entry.inode), `${path}/${entry.name}`);
  }
}

/** One line for each file: what the reader says of it. */
async function describeVolume(image: Buffer): Promise<string[]> {
  const volume = await openVolume(image);
  const lines: string[] = [];
  for await (const { path, inode } of walk(volume, await volume.readInode(ROOT_INODE), "")) {
    if (path === "/lost+found") continue;
    const { kind, mode, uid, gid, links } = inode;
    const content =
      kind === "file"
        ? hash("sha256", await volume.readFile(inode, 2 ** 31))
        : kind === "symlink"
          ? await volume.readLink(inode)
          : kind.endsWith("device")
            ? deviceNumber(inode)
            : "";
    const attributes = [...(await volume.readAttributes(inode))].map(
      ([name, value]) => `${name}=${value.toString("hex")}`,
    );
    const count = kind === "directory" ? "-" : links;
    lines.push(
      [displayName(path), kind, mode.toString(8), `${uid}:${gid}`, count, content, ...attributes.sort()].join(
        " ",
      ),
    );
  }
  return lines.sort();
}

/** The same lines, told by the kernel about the tree that the image was made from. */
function describeTree(): string[] {
  const script = `
import hashlib, os, stat, sys
root = os.fsencode(sys.argv[1])
kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "character-device",
         stat.S_IFBLK: "block-device", stat.S_IFIFO: "fifo"}
def show(name):
    try: return name.decode("utf8")
    except UnicodeDecodeError: return "".join(chr(b) if 0x20 <= b <= 0x7e else "\\\\x%02x" % b for b in name)
def visit(path):
    s = os.lstat(root + path)
    kind = kinds[stat.S_IFMT(s.st_mode)]
    content = ""
    if kind == "file": content = hashlib.sha256(open(root + path, "rb").read()).hexdigest()
    if kind == "symlink": content = os.readlink(root + path).decode("latin1")
    if kind.endswith("device"): content = "%d:%d" % (os.major(s.st_rdev), os.minor(s.st_rdev))
    xattrs = sorted("%s=%s" % (n, os.getxattr(root + path, n, follow_symlinks=False).hex()) for n in os.listxattr(root + path, follow_symlinks=False))
    links = "-" if kind == "directory" else s.st_nlink
    print(" ".join(str(x) for x in [show(path), kind, "%o" % stat.S_IMODE(s.st_mode), "%d:%d" % (s.st_uid, s.st_gid), links, content] + xattrs))
    if kind == "directory":
        for name in os.listdir(root + path): visit(path + b"/" + name)
visit(b"")
`;
  return run("python3", "-c", script, tree).trimEnd().split("\n").sort();
}

describe("Ext4Volume reads what the kernel wrote down", () => {
  test.each([
    ["ext4 as mke2fs makes it", ["-t", "ext4"]],
    ["ext4 with 1 KiB blocks and 128-byte inodes", ["-t", "ext4", "-b", "1024", "-I", "128"]],
    [
      "ext4 with 64bit, flex_bg and checksums",
      ["-t", "ext4", "-O", "64bit,flex_bg,metadata_csum", "-G", "4"],
    ],
    ["ext4 with clusters of 16 blocks", ["-t", "ext4", "-O", "bigalloc", "-C", "65536"]],
    ["ext4 in many small groups", ["-t", "ext4", "-b", "2048", "-g", "1024"]],
    ["ext3", ["-t", "ext3"]],
    ["ext2 without file types or hash trees", ["-t", "ext2", "-O", "^filetype,^dir_index", "-b", "1024"]],
  ])("%s", async (_name, options) => {
    const image = makeVolume(tree, join(dir, "some.img"), "32m", "-N", "3000", ...options);
    expect(await describeVolume(image)).toEqual(told);
  });

  test("a directory whose hash tree the kernel's own tool has built", async () => {
    const path = join(dir, "indexed.img");
    makeVolume(tree, path, "32m", "-t", "ext4", "-b", "1024");
    // e2fsck ends with 1 when it has changed something.
    run("sh", "-c", `e2fsck -fyD ${path} > /dev/null; test $? -le 1`);
    expect(run("debugfs", "-R", "htree_dump /many", path)).toContain("Number of entries");
    expect(await describeVolume(readFileSync(path))).toEqual(told);
  });

  test.each([
    ["inline_data", "inline_data"],
    ["encrypt", "encrypt"],
    ["casefold", "casefold"],
    ["meta_bg", "meta_bg,^resize_inode"],
    ["ea_inode", "ea_inode"],
  ])("and says that it does not read %s", async (name, feature) => {
    const image = makeVolume(join(tree, "level-0"), join(dir, "odd.img"), "16m", "-t", "ext4", "-O", feature);
    await expect(openVolume(image)).rejects.toThrow(
      new DecodeError(`it uses what is not read here: ${name}`),
    );
  });
});

test("inodes of more than 4 KiB are refused: each that waits would take that much memory", async () => {
  const volumeWith = (inodeBytes: number) =>
    makeVolume(
      join(tree, "level-0"),
      join(dir, "wide.img"),
      "24m",
      ...["-t", "ext4", "-b", "8192", "-N", "256", "-I", String(inodeBytes)],
    );
  await expect(openVolume(volumeWith(4096))).resolves.toBeDefined();
  await expect(openVolume(volumeWith(8192))).rejects.toThrow(
    new DecodeError("it has inodes of 8192 bytes; at most 4096 are read here"),
  );
});

describe("a volume that lies", () => {
  let good: Buffer;
  beforeAll(() => {
    const small = join(dir, "small");
    mkdirSync(join(small, "a/b"), { recursive: true });
    run("sh", "-c", `for i in $(seq 40); do echo $i > ${small}/a/$i; done`);
    makeHoles(join(small, "a/b/holes"));
    good = makeVolume(small, join(dir, "good.img"), "9m", "-t", "ext4", "-b", "1024");
  });

  /** Ends, and with nothing but a DecodeError. */
  async function survives(image: Buffer): Promise<void> {
    try {
      const volume = await openVolume(image);
      let names = 0;
      for await (const { inode } of walk(volume, await volume.readInode(ROOT_INODE), "")) {
        if (++names > 20_000) return;
        if (inode.kind === "file" && inode.sizeBytes < 2 ** 24) await volume.readFile(inode, 2 ** 24);
        if (inode.kind === "symlink") await volume.readLink(inode);
        await volume.readAttributes(inode);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
    }
  }

  test("ends in a DecodeError or an answer wherever its tables are changed", async () => {
    const used = [...Array(good.length / 1024).keys()].filter(
      block => !good.subarray(block * 1024, (block + 1) * 1024).equals(Buffer.alloc(1024)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(used.length - 1), fc.nat(1023), fc.nat(255)), {
          minLength: 1,
          maxLength: 30,
        }),
        async changes => {
          const image = Buffer.from(good);
          for (const [block, at, value] of changes) image[(used[block] ?? 0) * 1024 + at] = value;
          await survives(image);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("and where its end is missing", async () => {
    for (let length = 0; length < 8192; length += 512) await survives(good.subarray(0, length));
    await survives(good.subarray(0, good.length / 2));
  });

  test("an extent tree whose branches share their nodes ends: five levels of 80 are three thousand million", async () => {
    const image = Buffer.from(good);
    const volume = await openVolume(image);
    let holes: Inode | undefined;
    for await (const { path, inode } of walk(volume, await volume.readInode(ROOT_INODE), "")) {
      if (path.endsWith("/holes")) holes = inode;
    }
    if (holes === undefined) throw new Error("no such file");
    const [root, firstNode] = [image.indexOf(holes.blockField), 9000];
    image.writeUInt16LE(5, root + 6);
    image.writeUInt32LE(firstNode, root + 12 + 4);
    for (const depth of [4, 3, 2, 1, 0]) {
      const number = firstNode + 4 - depth;
      const node = image.subarray(number * 1024, (number + 1) * 1024).fill(0);
      node.writeUInt16LE(0xf30a, 0);
      node.writeUInt16LE(depth === 0 ? 0 : 80, 2);
      node.writeUInt16LE(depth, 6);
      for (let entry = 1; entry <= 80 && depth > 0; entry++) node.writeUInt32LE(number + 1, entry * 12 + 4);
    }
    const changed = await openVolume(image);
    const inode = await changed.readInode(holes.number);
    await expect(changed.readFile(inode, 2 ** 24)).rejects.toThrow(
      "files claim more blocks than the volume's 9216",
    );
  });
});
