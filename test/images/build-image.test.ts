import { spawn, spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import {
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { chunkLength } from "../../src/images/chunker.ts";
import { recognizeImageFormat } from "../../src/images/image-format.ts";
import { type BuildProgress, type BuildRequest, buildImage } from "../../src/images/io/build-image.ts";
import { decodeChunk } from "../../src/images/io/chunk-codec.ts";
import { createKeyFiles } from "../../src/images/io/key-files.ts";
import { openRegistry } from "../../src/images/io/registry.ts";
import { parseTrustedKey } from "../../src/images/keys.ts";
import { makeKey, noise, streamOf } from "./bundles.ts";
import { rawTar } from "./raw-tar.ts";

const key = makeKey();
let dir: string;
let rootfs: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-build-"));
  rootfs = join(dir, "rootfs");
  await mkdir(join(rootfs, "boot"), { recursive: true });
  await mkdir(join(rootfs, "etc", "many"), { recursive: true });
  await writeFile(join(rootfs, "boot", "vmlinuz-6.1"), noise(600_000, 1));
  await symlink("vmlinuz-6.1", join(rootfs, "boot", "vmlinuz"));
  await writeFile(join(rootfs, "boot", "initrd.img"), noise(1_500_000, 2));
  for (let index = 0; index < 200; index++)
    await writeFile(join(rootfs, "etc", "many", `file ${index}`), `${index}\n`);
  await link(join(rootfs, "etc", "many", "file 1"), join(rootfs, "etc", "hard-link"));
});
afterEach(() => rm(dir, { recursive: true }));

function request(from: string, changes: Partial<BuildRequest> = {}): BuildRequest {
  return {
    from,
    name: "golden",
    version: "1.0",
    architecture: "amd64",
    kernelArguments: ["console=ttyS0"],
    healthChecks: [{ name: "up", exec: ["/bin/true"], timeoutSeconds: 5 }],
    privateKeyPem: key.privateKeyPem,
    out: join(dir, "golden.tar"),
    createdAt: Date.UTC(2026, 0, 2),
    ...changes,
  };
}

/** The raw image that a machine would get from the bundle. */
async function unpack(bundlePath: string): Promise<string> {
  const registry = await openRegistry(join(dir, "registry"));
  const { manifest } = await registry.ingestBundle(streamOf(await readFile(bundlePath)), [key]);
  const raw = join(dir, "unpacked.img");
  await using file = await open(raw, "w");
  for (const payload of manifest.payloads) {
    await file.truncate(payload.sizeBytes);
    for (const [index, digest] of payload.chunks.entries()) {
      if (digest === null) continue;
      const chunk = await decodeChunk(
        await readFile((await registry.findChunk(digest)) ?? ""),
        chunkLength(payload, index),
      );
      await file.write(chunk, 0, chunk.length, index * payload.chunkBytes);
    }
  }
  return raw;
}

function run(program: string, ...args: string[]): string {
  const { stdout, stderr, status, error } = spawnSync(program, args, {
    encoding: "utf8",
    env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stdout + stderr}`);
  return stdout;
}

describe("buildImage() from a directory", () => {
  test("makes a file system that is sound, holds the content and that GRUB 2.06 can read", async () => {
    const phases = new Set<string>();
    const out = join(dir, "golden.tar");
    const built = await buildImage(request(rootfs, { onProgress: ({ phase }) => phases.add(phase) }));
    expect([...phases]).toEqual(["compressing", "packing"]);
    expect(built.bundleBytes).toBe((await stat(out)).size);
    expect(built.keyId).toBe(key.keyId);
    expect(built.dataBytes).toBeLessThanOrEqual(built.sizeBytes);
    expect((await readdir(dir)).sort()).toEqual(["golden.tar", "rootfs"]);

    const raw = await unpack(out);
    run("e2fsck", "-fn", raw);
    expect(run("debugfs", "-R", "cat /etc/hard-link", raw)).toBe("1\n");
    expect(run("debugfs", "-R", "stat /boot/vmlinuz", raw)).toContain("symlink");
    const features = /^Filesystem features:\s+(.*)$/m.exec(run("dumpe2fs", "-h", raw))?.[1] ?? "";
    expect(features.split(" ").sort()).toEqual(
      "64bit dir_index dir_nlink ext_attr extent extra_isize filetype flex_bg huge_file large_file metadata_csum sparse_super".split(
        " ",
      ),
    );
    expect(recognizeImageFormat((await readFile(raw)).subarray(0, 4096))).toMatchObject({
      kind: "ext4",
      obstacles: [],
    });
  });

  test("makes a volume that mounts read-only without touching a byte", async context => {
    await buildImage(request(rootfs));
    const raw = await unpack(join(dir, "golden.tar"));
    const before = await readFile(raw);
    const mountpoint = join(dir, "mnt");
    await mkdir(mountpoint);
    const mounted = spawnSync("mount", ["-o", "loop,ro,noload", raw, mountpoint], { encoding: "utf8" });
    if (mounted.status !== 0)
      context.skip(`cannot mount a loop device: ${mounted.stderr || mounted.error?.message}`);
    try {
      expect((await readdir(join(mountpoint, "etc", "many"))).length).toBe(200);
      expect((await readFile(join(mountpoint, "boot", "vmlinuz"))).equals(noise(600_000, 1))).toBe(true);
    } finally {
      run("umount", mountpoint);
    }
    expect((await readFile(raw)).equals(before)).toBe(true);
  });

  test("gives the same digest for the same content, copied elsewhere and read in between", async () => {
    const first = await buildImage(request(rootfs));
    const madeAt = Math.floor((await stat(join(rootfs, "etc", "many"))).ctimeMs / 1000);
    const copy = join(dir, "copy");
    // A copy's change times are those of its making: in another second than the original's.
    await expect.poll(() => Math.floor(Date.now() / 1000), { timeout: 3000 }).toBeGreaterThan(madeAt);
    run("cp", "-a", rootfs, copy);
    const { mtime } = await stat(join(rootfs, "etc"));
    await utimes(join(copy, "etc"), new Date(mtime.getTime() + 60_000), mtime);
    const second = await buildImage(request(copy, { privateKeyPem: makeKey().privateKeyPem }));
    expect(second.digest).toBe(first.digest);
    const later = await buildImage(request(rootfs, { createdAt: Date.UTC(2026, 0, 3) }));
    expect(later.digest).not.toBe(first.digest);
  });

  test("makes the size that was asked for", async () => {
    const built = await buildImage(request(rootfs, { sizeBytes: 100 * 1024 * 1024 }));
    expect(built.sizeBytes).toBe(100 * 1024 * 1024);
  });

  test("says what a kernel-less directory lacks", async () => {
    await rm(join(rootfs, "boot", "vmlinuz"));
    await expect(buildImage(request(rootfs))).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringContaining("boot/vmlinuz"),
    });
  });

  test.each<[string, Partial<BuildRequest>, string, string]>([
    ["a size that is too small", { sizeBytes: 1024 * 1024 }, "request.invalid", "1048576"],
    ["a size that no block fits", { sizeBytes: 50_000_001 }, "request.invalid", "50000001"],
    ["a kernel argument with a blank", { kernelArguments: ["a b"] }, "request.invalid", "kernelArguments[0]"],
    ["a name with a slash", { name: "a/b" }, "request.invalid", "name"],
    ["a key that is none", { privateKeyPem: "x" }, "key.invalid", "private key"],
    [
      "a folder that is not there",
      { out: "/nowhere/at/all/x.tar" },
      "data.unwritable",
      "/nowhere/at/all/x.tar",
    ],
    ["a source that is not there", { from: "/nowhere" }, "input.unreadable", "/nowhere"],
  ])("refuses %s and leaves nothing", async (_, changes, code, words) => {
    await expect(buildImage(request(rootfs, changes))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
    expect(await readdir(dir)).toEqual(["rootfs"]);
  });

  test("leaves an older bundle alone when it fails", async () => {
    const out = join(dir, "golden.tar");
    await writeFile(out, "the old one");
    await expect(buildImage(request(rootfs, { sizeBytes: 4096 }))).rejects.toThrow();
    expect(await readFile(out, "utf8")).toBe("the old one");
  });
});

describe("buildImage() from an image file", () => {
  test("takes a raw ext4 file as it is", async () => {
    await buildImage(request(rootfs));
    const raw = await unpack(join(dir, "golden.tar"));
    const original = await readFile(raw);
    const again = await buildImage(request(raw, { version: "1.1", out: join(dir, "again.tar") }));
    expect(again.sizeBytes).toBe(original.length);
    expect((await readFile(await unpack(join(dir, "again.tar")))).equals(original)).toBe(true);
  });

  test.each([
    ["squashfs", Buffer.from("hsqs")],
    ["VMDK", Buffer.from("KDMV")],
    ["nothing that is known", Buffer.from("hello")],
    ["nothing that is known", Buffer.alloc(0)],
  ])("refuses %s by its first bytes", async (name, head) => {
    const path = join(dir, "some.img");
    await writeFile(path, head);
    await expect(buildImage(request(path))).rejects.toMatchObject({
      code: "input.unreadable",
      message: `no image can be built from ${path}: it is ${name}`,
    });
    expect((await readdir(dir)).sort()).toEqual(["rootfs", "some.img"]);
  });

  test("refuses features that GRUB cannot read, and a file that is cut short", async () => {
    const path = join(dir, "fs.img");
    run(
      "mke2fs",
      "-q",
      "-F",
      "-t",
      "ext4",
      "-O",
      "metadata_csum,metadata_csum_seed,inline_data",
      path,
      "16m",
    );
    await expect(buildImage(request(path))).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringMatching(/metadata_csum_seed, inline_data/),
    });
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", path, "16m");
    await truncate(path, 8 * 1024 * 1024);
    await expect(buildImage(request(path))).rejects.toMatchObject({
      code: "input.unreadable",
      message: `${path} is cut short: 8.0 MiB of a file system of 16.0 MiB`,
    });
  });
});

test("buildImage() of a container image in a tar gives back the room of its first reading", async () => {
  const layer = rawTar(
    { name: "boot/vmlinuz", content: noise(600_000, 1) },
    { name: "boot/initrd.img", content: noise(600_000, 2) },
  );
  const config = {
    ...{ os: "linux", architecture: "amd64" },
    rootfs: { diff_ids: [`sha256:${hash("sha256", layer)}`] },
  };
  const source = join(dir, "saved.tar");
  await writeFile(
    source,
    rawTar(
      { name: "manifest.json", content: JSON.stringify([{ Config: "config.json", Layers: ["layer.tar"] }]) },
      { name: "config.json", content: JSON.stringify(config) },
      { name: "layer.tar", content: layer },
    ),
  );
  const openFiles = new Set<string>();
  const onProgress = ({ phase }: BuildProgress) => {
    if (phase !== "compressing") return;
    for (const fd of readdirSync("/proc/self/fd")) openFiles.add(targetOf(`/proc/self/fd/${fd}`));
  };
  await buildImage(request(source, { onProgress }));
  const ours = [...openFiles].filter(path => path.startsWith(dir));
  expect(ours.length).toBeGreaterThan(0);
  expect(ours.filter(path => path.endsWith(" (deleted)"))).toEqual([]);
});

/** @returns "" for a file that was closed meanwhile */
function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

describe("buildImage() that is interrupted", () => {
  test.each(["reading", "compressing", "packing"])("while %s leaves nothing", async phase => {
    const source = join(dir, "rootfs.tar");
    run("tar", "--create", "--file", source, "--directory", rootfs, ".");
    const interruption = new AbortController();
    await expect(
      buildImage(
        request(source, {
          signal: interruption.signal,
          onProgress: progress => {
            if (progress.phase === phase) interruption.abort();
          },
        }),
      ),
    ).rejects.toMatchObject({ name: "AbortError" });
    expect((await readdir(dir)).sort()).toEqual(["rootfs", "rootfs.tar"]);
  });

  test("while it lays a directory leaves nothing", async () => {
    await expect(buildImage(request(rootfs, { signal: AbortSignal.abort("enough") }))).rejects.toBe("enough");
    expect(await readdir(dir)).toEqual(["rootfs"]);
  });

  test("by Ctrl-C ends the command as failed, and by SIGKILL is cleaned up by the next one", async () => {
    const disk = join(dir, "disk.img");
    const sector = Buffer.alloc(512);
    sector.writeUInt8(0x83, 450);
    sector.writeUInt32LE(2048, 454);
    sector.writeUInt32LE(8192, 458);
    sector.writeUInt16LE(0xaa55, 510);
    await writeFile(disk, sector);
    // Long enough to be met at work.
    await truncate(disk, 32 * 1024 ** 3);
    const { privateKeyPath } = await createKeyFiles(join(dir, "ci"));
    const out = join(dir, "golden.tar");
    const leftovers = async () => (await readdir(dir)).filter(name => name.startsWith("golden.tar"));
    const interrupt = async (signal: NodeJS.Signals) => {
      const flags = ["--from", disk, "--name=golden", "--version=1", "--key", privateKeyPath, "--out", out];
      const child = spawn(process.execPath, ["src/main.ts", "images", "build", ...flags], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const ended = Promise.all([once(child, "exit"), text(child.stderr)]);
      const ours = `golden.tar.${child.pid}-0.unfinished`;
      await vi.waitFor(async () => expect(await leftovers()).toEqual([ours]), 20_000);
      child.kill(signal);
      return await ended;
    };
    expect(await interrupt("SIGKILL")).toEqual([[null, "SIGKILL"], expect.any(String)]);
    expect(await leftovers()).toHaveLength(1);
    const [exit, words] = await interrupt("SIGINT");
    expect(exit).toEqual([1, null]);
    expect(words).toContain(`interrupted: ${out} was not written`);
    expect(await leftovers()).toEqual([]);
  }, 60_000);
});

describe("createKeyFiles()", () => {
  test("makes a pair that works, the private half readable by its owner only", async () => {
    const files = await createKeyFiles(join(dir, "ci"));
    expect((await stat(files.privateKeyPath)).mode & 0o777).toBe(0o600);
    expect(parseTrustedKey(await readFile(files.publicKeyPath, "utf8")).keyId).toBe(files.keyId);
    const privateKeyPem = await readFile(files.privateKeyPath, "utf8");
    expect(await buildImage(request(rootfs, { privateKeyPem }))).toMatchObject({
      keyId: files.keyId,
    });
  });

  test("never overwrites either half", async () => {
    const base = join(dir, "ci");
    await writeFile(`${base}.pub`, "old");
    await expect(createKeyFiles(base)).rejects.toMatchObject({ code: "name.taken" });
    expect((await readdir(dir)).sort()).toEqual(["ci.pub", "rootfs"]);
    expect(await readFile(`${base}.pub`, "utf8")).toBe("old");
  });
});
