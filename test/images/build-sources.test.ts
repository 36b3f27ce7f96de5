import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchPrograms, type Programs } from "../../bench/peers.ts";
import { chunkLength } from "../../src/images/chunker.ts";
import { type BuildRequest, type BuiltImage, buildImage } from "../../src/images/io/build-image.ts";
import { decodeChunk } from "../../src/images/io/chunk-codec.ts";
import { openRegistry } from "../../src/images/io/registry.ts";
import type { Manifest } from "../../src/images/manifest.ts";
import { makeKey, noise, streamOf } from "./bundles.ts";
import { complaints } from "./ext4-writer/planned-image.ts";
import { file, OciTools } from "./oci-peers.ts";

const MIB = 1024 * 1024;
const key = makeKey();
const KERNEL = noise(700_000, 1);
let dir: string;
let rootfs: string;
let rawExt4: string;
let disk: string;
let outputs = 0;
let tools: Promise<OciTools>;
let programs: Promise<Programs>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-sources-"));
  rootfs = join(dir, "rootfs");
  await mkdir(join(rootfs, "boot"), { recursive: true });
  await mkdir(join(rootfs, "etc"));
  await writeFile(join(rootfs, "boot", "vmlinuz-6.1"), KERNEL);
  await symlink("vmlinuz-6.1", join(rootfs, "boot", "vmlinuz"));
  await writeFile(join(rootfs, "boot", "initrd.img"), noise(900_000, 2));
  await writeFile(join(rootfs, "etc", "hostname"), "edge\n");
  rawExt4 = join(dir, "root.ext4");
  tool(
    "mke2fs",
    "-q",
    "-F",
    "-t",
    "ext4",
    "-O",
    "^metadata_csum_seed,^orphan_file",
    "-d",
    rootfs,
    rawExt4,
    "16m",
  );
  disk = join(dir, "disk.raw");
  await makeDisk(disk);
  tools = OciTools.fetch(dir);
  programs = fetchPrograms(["grub-common", "qemu-utils"], "images are not compared with GRUB and QEMU");
  await Promise.allSettled([tools, programs]);
}, 300_000);
afterAll(() => rm(dir, { recursive: true }));

function tool(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    encoding: "utf8",
    cwd: dir,
    env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: "C" },
  });
}

/** An MBR with one partition, and bytes here and there. */
async function makeDisk(path: string): Promise<void> {
  const sector = Buffer.alloc(512);
  sector.writeUInt8(0x80, 446);
  sector.writeUInt8(0x83, 450);
  sector.writeUInt32LE(2048, 454);
  sector.writeUInt32LE(8192, 458);
  sector.writeUInt16LE(0xaa55, 510);
  await using disk = await open(path, "w");
  await disk.write(sector, 0, 512, 0);
  await disk.write(noise(300_000, 3), 0, 300_000, 5 * MIB + 17);
  await disk.truncate(8 * MIB);
}

async function build(
  from: string,
  changes: Partial<BuildRequest> = {},
): Promise<BuiltImage & { readonly out: string }> {
  const out = join(dir, `out-${outputs++}.tar`);
  const built = await buildImage({
    from,
    name: "golden",
    version: "1.0",
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    kernelArguments: [],
    healthChecks: [],
    privateKeyPem: key.privateKeyPem,
    out,
    createdAt: Date.UTC(2026, 0, 2),
    ...changes,
  });
  return { ...built, out };
}

/** What a machine would get. */
async function unpack(out: string): Promise<{ readonly manifest: Manifest; readonly raw: Buffer }> {
  const registry = await openRegistry(join(dir, `registry-${basename(out)}`));
  const { manifest } = await registry.ingestBundle(streamOf(await readFile(out)), [key]);
  const [payload] = manifest.payloads;
  if (payload === undefined) throw new Error("no payload");
  const raw = Buffer.alloc(payload.sizeBytes);
  for (const [index, digest] of payload.chunks.entries()) {
    if (digest === null) continue;
    const frame = await readFile((await registry.findChunk(digest)) ?? "");
    (await decodeChunk(frame, chunkLength(payload, index))).copy(raw, index * payload.chunkBytes);
  }
  return { manifest, raw };
}

describe("buildImage() of a root file system", () => {
  test("gives the same digest from a directory, its tar in any format, and each of these compressed", async () => {
    const tars = [
      ["gnu.tar", "--format=gnu"],
      ["pax.tar", "--format=posix"],
      ["reverse.tar", "--format=posix", "--sort=none"],
      ["tar.gz", "--gzip"],
      ["tar.xz", "--xz"],
      ["tar.zst", "--zstd"],
    ];
    const { digest, out } = await build(rootfs);
    for (const [name = "", ...flags] of tars) {
      tool("tar", "--create", "--file", name, "--directory", rootfs, ...flags, ".");
      expect((await build(join(dir, name))).digest, name).toBe(digest);
    }
    const { manifest, raw } = await unpack(out);
    expect(manifest.payloads[0]?.name).toBe("rootfs.img");
    const path = join(dir, "made.ext4");
    await writeFile(path, raw);
    expect(complaints(path)).toBe("");
  });

  test("makes what GRUB 2.06 reads: links, and files of many extents", async context => {
    // A kernel with holes: the loader must find its blocks by more than one extent.
    const holed = Buffer.alloc(40 * 131_072);
    for (let index = 0; index < 40; index++) noise(5000, index).copy(holed, index * 131_072);
    const root = join(dir, "holed");
    await mkdir(join(root, "boot"), { recursive: true });
    await writeFile(join(root, "boot", "vmlinuz-2"), holed);
    await symlink("/boot/vmlinuz-2", join(root, "boot", "vmlinuz"));
    await writeFile(join(root, "boot", "initrd.img"), KERNEL);
    const { raw } = await unpack((await build(root)).out);
    const path = join(dir, "grub.ext4");
    await writeFile(path, raw);
    const grub = await programs.catch((error: unknown) => context.skip(String(error)));
    const cat = (name: string) =>
      execFileSync(grub.find("grub-fstest"), [path, "cat", name], {
        env: { ...process.env, ...grub.env },
        maxBuffer: 2 ** 26,
      });
    expect(hash("sha256", cat("(loop0)/boot/vmlinuz"))).toBe(hash("sha256", holed));
    expect(hash("sha256", cat("(loop0)/boot/initrd.img"))).toBe(hash("sha256", KERNEL));
  });

  test("says everything that is missing", async () => {
    await mkdir(join(dir, "bare", "etc"), { recursive: true });
    await expect(build(join(dir, "bare"))).rejects.toMatchObject({
      code: "input.unreadable",
      message: `${join(dir, "bare")} has no boot/vmlinuz and no boot/initrd.img, which the loader would start`,
    });
  });

  test("of a container image: a layout, and an archive of it, give the same", async context => {
    const peers = await tools.catch((error: unknown) => context.skip(String(error)));
    const layout = await peers.makeLayout("image", [
      [file("boot/vmlinuz", KERNEL), file("boot/initrd.img", "old")],
      [file("boot/initrd.img", "new"), file("boot/.wh.nothing", "")],
    ]);
    const first = await build(layout);
    tool("tar", "--create", "--file", "image.tar", "--directory", layout, ".");
    expect((await build(join(dir, "image.tar"))).digest).toBe(first.digest);
    await writeFile(join(dir, "container.ext4"), (await unpack(first.out)).raw);
    expect(tool("debugfs", "-R", "cat /boot/initrd.img", "container.ext4")).toBe("new");
  });

  test("of a container image without a kernel says that it has none", async context => {
    const peers = await tools.catch((error: unknown) => context.skip(String(error)));
    const layout = await peers.makeLayout("bare-image", [[file("etc/hostname", "x")]]);
    await expect(build(layout)).rejects.toMatchObject({
      message: expect.stringContaining("has no boot/vmlinuz and no boot/initrd.img"),
      advice: expect.stringContaining("a container image needs a layer with both"),
    });
  });
});

describe("buildImage() of an image", () => {
  test.each([
    ["ext4", () => rawExt4, "rootfs.img"],
    ["a disk", () => disk, "disk.img"],
  ])("takes %s as it is: raw, compressed, qcow2, and qcow2 that is compressed", async (_, find, payload) => {
    const path = find();
    const original = await readFile(path);
    const first = await build(path);
    const { manifest, raw } = await unpack(first.out);
    expect(manifest.payloads[0]?.name).toBe(payload);
    expect(raw.equals(original)).toBe(true);
    const qemu = await programs;
    const name = basename(path);
    execFileSync(
      qemu.find("qemu-img"),
      ["convert", "-O", "qcow2", "-c", "-f", "raw", name, `${name}.qcow2`],
      {
        cwd: dir,
        env: { ...process.env, ...qemu.env },
      },
    );
    for (const of of [name, `${name}.qcow2`]) {
      tool("gzip", "--keep", of);
      tool("xz", "--keep", "-0", of);
    }
    tool("zstd", "-q", name);
    for (const suffix of [".gz", ".xz", ".zst", ".qcow2", ".qcow2.gz", ".qcow2.xz"]) {
      expect((await build(path + suffix)).digest, suffix).toBe(first.digest);
    }
  });

  test("of ext4 without a kernel is refused, raw and compressed", async () => {
    const path = join(dir, "empty.ext4");
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", path, "8m");
    tool("gzip", "--keep", path);
    for (const of of [path, `${path}.gz`]) {
      await expect(build(of)).rejects.toMatchObject({
        message: `${of} has no boot/vmlinuz and no boot/initrd.img, which the loader would start`,
      });
    }
  });

  test("of ext4 that is cut short is refused, though only the end of the stream shows it", async () => {
    const path = join(dir, "cut.ext4");
    await writeFile(path, (await readFile(rawExt4)).subarray(0, 10 * MIB));
    tool("gzip", path);
    await expect(build(`${path}.gz`)).rejects.toMatchObject({
      message: `${path}.gz is cut short: 10.0 MiB of a file system of 16.0 MiB`,
    });
  });

  test("of odd sizes, of something compressed twice, or with a size to make, is refused", async () => {
    const odd = join(dir, "odd.raw");
    await makeDisk(odd);
    await truncate(odd, 8 * MIB - 512);
    await expect(build(odd)).rejects.toMatchObject({
      message: expect.stringContaining("a multiple of 4096"),
    });
    tool(
      "sh",
      "-c",
      "gzip -c etc.txt > twice.gz.1 2>/dev/null || echo x | gzip -c > twice.gz.1; xz -c twice.gz.1 > twice.xz",
    );
    await expect(build(join(dir, "twice.xz"))).rejects.toMatchObject({
      message: expect.stringContaining("is gzip within xz"),
    });
    await expect(build(disk, { sizeBytes: 2 ** 26 })).rejects.toMatchObject({ code: "request.invalid" });
  });

  test("tells its progress in bytes, from the first to the last", async () => {
    const seen: string[] = [];
    await build(disk, {
      onProgress: ({ phase, doneBytes, totalBytes }) => seen.push(`${phase} ${doneBytes}/${totalBytes}`),
    });
    expect(seen).toContain(`compressing ${MIB}/${8 * MIB}`);
    expect(seen).toContain(`compressing ${8 * MIB}/${8 * MIB}`);
    expect(seen.at(-1)).toMatch(/^packing ([0-9]+)\/\1$/);
  });
});

describe("buildImage() with what travels along", () => {
  test("binds hooks and a bill of materials to the manifest, by their bytes", async () => {
    const hook = join(dir, "before-reboot");
    const sbom = join(dir, "bom.json");
    await writeFile(hook, "#!/bin/sh\n");
    await writeFile(sbom, noise(MIB + 5, 9));
    const attachments = [
      { name: "sbom.json", path: sbom },
      { name: "hooks/before-reboot", path: hook },
    ];
    const { manifest } = await unpack(
      (await build(rootfs, { attachments, release: 7, minimumRelease: 3 })).out,
    );
    expect(manifest).toMatchObject({ release: 7, minimumRelease: 3 });
    expect(manifest.attachments).toMatchObject([
      { name: "sbom.json", sizeBytes: MIB + 5, chunks: [expect.any(String), expect.any(String)] },
      { name: "hooks/before-reboot", sizeBytes: 10, chunks: [hash("sha256", "#!/bin/sh\n")] },
    ]);
  });

  test.each([
    ["an empty one", "empty", "", "is empty"],
    ["one that is too large", "large", Buffer.alloc(16 * MIB + 1), "has more than 16.0 MiB"],
  ])("refuses %s", async (_, name, content, words) => {
    await writeFile(join(dir, name), content);
    await expect(
      build(rootfs, { attachments: [{ name: `hooks/${name}`, path: join(dir, name) }] }),
    ).rejects.toMatchObject({ message: expect.stringContaining(words) });
  });

  test("refuses two of one name, and names that are none", async () => {
    const path = join(rootfs, "etc", "hostname");
    const twice = { name: "hooks/same", path };
    await expect(build(rootfs, { attachments: [twice, twice] })).rejects.toMatchObject({
      code: "request.invalid",
    });
    await expect(build(rootfs, { attachments: [{ name: "hooks/a b", path }] })).rejects.toMatchObject({
      code: "request.invalid",
    });
  });
});

test("nothing is left beside the bundles", async () => {
  expect((await readdir(dir)).filter(name => name.includes("unfinished"))).toEqual([]);
});
