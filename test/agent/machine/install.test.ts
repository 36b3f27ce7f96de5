import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { installMachine } from "../../../src/agent/machine/io/install.ts";
import type { Disk, InstallOrder } from "../../../src/agent/protocol.ts";
import { DrpError } from "../../../src/core/errors.ts";
import type { MacAddress } from "../../../src/core/mac.ts";
import { encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import { inventoryWith, MAC } from "../../helpers/machines.ts";
import { fakeLoader } from "../../images/disk/loader-files.ts";
import { needTools, runTool, TemporaryFolder } from "../../images/disk/system-tools.ts";
import { firstKeyList } from "../../images/key-lists.ts";
import { createTestImage, type TestImage } from "./helpers/test-image.ts";
import { TestSite } from "./helpers/test-site.ts";

const MIB = 1024 * 1024;
const SLOT_A = 66 * MIB;
const BUILT_AT = Date.parse("2026-01-01T00:00:00Z");
const BOOT_ID = "01234567-89ab-4def-8123-456789abcdef";

describe("drp machine install", () => {
  let site: TestSite;
  let image: TestImage;
  let folder: TemporaryFolder;
  /** In memory, and under /dev as every disk is. */
  let diskFolder: TemporaryFolder;
  let said: string[];

  beforeEach(async context => {
    needTools(context, "mkfs.ext4");
    site = await TestSite.start();
    folder = new TemporaryFolder();
    diskFolder = new TemporaryFolder("/dev/shm");
    said = [];
    const loader = fakeLoader();
    writeFileSync(join(folder.path, "boot.img"), loader.bootImage);
    writeFileSync(join(folder.path, "core.img"), loader.coreImage);
    writeFileSync(join(folder.path, "BOOTX64.EFI"), loader.efiImage);
    writeFileSync(join(folder.path, "grub.cfg"), loader.grubConfig);
    await offer(await createTestImage());
  });

  afterEach(async () => {
    await site?.[Symbol.asyncDispose]();
    folder?.[Symbol.dispose]();
    diskFolder?.[Symbol.dispose]();
  });

  async function offer(offered: TestImage, order: Partial<InstallOrder> = {}): Promise<void> {
    image = offered;
    site.signedManifest = image.signed;
    site.frames = image.frames;
    const whole = { intentId: "i-1", image: image.digest, installGeneration: 3, diskPath: null, wipe: false };
    site.nextAnswers = [{ kind: "install", order: { ...whole, ...order } }];
  }

  function createDisk(sizeMib = 400): Disk {
    const path = join(diskFolder.path, "disk");
    closeSync(openSync(path, "w"));
    truncateSync(path, sizeMib * MIB);
    return describeDisk(path, sizeMib * MIB, 512);
  }

  function describeDisk(path: string, sizeBytes: number, sectorBytes: number): Disk {
    const unknown = { model: "", serial: "", rotational: false, removable: false, holdsData: false };
    return { path, sizeBytes, sectorBytes, ...unknown };
  }

  function install(disk: Disk): Promise<void> {
    return installMachine({
      arguments: {
        siteUrl: site.siteUrl,
        bootUrl: site.bootUrl,
        bootToken: "t".repeat(32),
        bootMac: MAC as MacAddress,
      },
      fleet: { caPem: site.caPem, keyLists: firstKeyList(image.trustedKey) },
      builtAt: BUILT_AT,
      inventory: inventoryWith({ firmware: "uefi", disks: [disk] }),
      bootId: BOOT_ID,
      loaderFolder: folder.path,
      say: line => said.push(line),
    });
  }

  async function failureOf(disk: Disk): Promise<DrpError> {
    const error = await install(disk).catch((thrown: unknown) => thrown);
    if (!(error instanceof DrpError)) throw new Error(`expected a DrpError, got ${error}`);
    return error;
  }

  function readDisk(disk: Disk, offsetBytes: number, length: number): Buffer {
    const file = openSync(disk.path, "r");
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, offsetBytes);
    closeSync(file);
    return bytes;
  }

  function writeDisk(disk: Disk, offsetBytes: number, bytes: Uint8Array): void {
    const file = openSync(disk.path, "r+");
    writeSync(file, bytes, 0, bytes.length, offsetBytes);
    closeSync(file);
  }

  function partitionsOf(disk: Disk): { label: string; offsetBytes: number; guid: string }[] {
    const size = disk.sectorBytes === 512 ? [] : ["--sector-size", String(disk.sectorBytes)];
    const lines = runTool("partx", "--raw", "--noheadings", ...size, "-o", "NAME,START,UUID", disk.path);
    return lines
      .trim()
      .split("\n")
      .map(line => {
        const [label = "", start = "", guid = ""] = line.split(" ");
        return { label, offsetBytes: Number(start) * 512, guid };
      });
  }

  /** Reads a file of drp-data with e2fsprogs, without mounting it. */
  function readDataFile(disk: Disk, offsetBytes: number, path: string): string {
    return runTool("debugfs", "-R", `cat ${path}`, `${disk.path}?offset=${offsetBytes}`);
  }

  function phases(): string[] {
    return site.progress.map(({ phase }) => phase).filter((phase, index, all) => phase !== all[index - 1]);
  }

  test("leaves a disk with the image in slot A, a loader and an identity", async context => {
    needTools(context, "partx", "mcopy", "debugfs", "e2fsck");
    const disk = createDisk();
    await install(disk);

    const partitions = partitionsOf(disk);
    expect(partitions.map(({ label }) => label)).toEqual([
      "drp-bios",
      "drp-esp",
      "drp-a",
      "drp-b",
      "drp-data",
    ]);
    expect(readDisk(disk, SLOT_A, image.rootfs.length).equals(image.rootfs)).toBe(true);

    const espFile = (path: string) => runTool("mtype", "-i", `${disk.path}@@${2 * MIB}`, `::${path}`);
    const slotA = partitions.find(({ label }) => label === "drp-a");
    expect(espFile("/drp/slot-a.cfg").replace(/^#+\n$/m, "")).toBe(
      `set slot_partuuid='${slotA?.guid}'\nset slot_digest='${image.digest}'\nset slot_arguments='console=ttyS0'\n`,
    );
    expect(espFile("/drp/slot-b.cfg")).toContain("slot_partuuid=''");
    expect(espFile("/drp/grubenv")).toContain("confirmed=a\n");
    expect(espFile("/drp/grub.cfg")).toBe("# chooses the slot\n");

    expect(readDisk(disk, 0x5c, 8).readBigUInt64LE()).toBe(2048n);
    expect(readDisk(disk, MIB + 0x1f4, 8).readBigUInt64LE()).toBe(2049n);

    const data = partitions.find(({ label }) => label === "drp-data")?.offsetBytes ?? 0;
    expect(JSON.parse(readDataFile(disk, data, "/drp/machine.json"))).toEqual({
      siteUrl: site.siteUrl,
      bootUrl: site.bootUrl,
      machineId: "m-1",
      machineName: "till-1",
      installGeneration: 3,
      caPem: site.caPem,
    });
    expect(JSON.parse(readDataFile(disk, data, "/drp/key-lists.json"))).toEqual({
      builtAt: BUILT_AT,
      lists: firstKeyList(image.trustedKey),
    });
    expect(readDataFile(disk, data, "/drp/machine.key")).toContain("BEGIN PRIVATE KEY");
    expect(readDataFile(disk, data, "/drp/machine.crt")).toContain("BEGIN CERTIFICATE");
    expect(readDataFile(disk, data, "/drp/slots/a/manifest.json")).toBe(image.signed.manifestText);
    expect(runTool("debugfs", "-R", "stat /drp/machine.key", `${disk.path}?offset=${data}`)).toMatch(
      /Mode: +0600/,
    );
    execFileSync("e2fsck", ["-fn", `${disk.path}?offset=${data}`], { stdio: "ignore" });
  });

  test("tells the site who it is and how far it got", async () => {
    await install(createDisk());
    expect(site.registrations).toHaveLength(1);
    expect(site.registrations[0]).toMatchObject({ bootMac: MAC, bootId: BOOT_ID, bootToken: "t".repeat(32) });
    expect(site.keyFingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(phases().at(-1)).toBe("booting");
    expect(site.progress.at(-1)).toMatchObject({
      intentId: "i-1",
      doneBytes: image.rootfs.length,
      totalBytes: image.rootfs.length,
      message: "",
    });
    expect(said).toContain("registered as till-1 (m-1)");
    expect(said.at(-1)).toBe("booting");
  });

  test("waits as long as it is told to, then boots the disk when there is nothing to install", async () => {
    site.nextAnswers = [
      { kind: "wait", reason: "not assigned", pollSeconds: 1 },
      { kind: "boot-disk", reason: "discovered" },
    ];
    const disk = createDisk();
    await install(disk);
    expect(said).toEqual([
      "registered as till-1 (m-1)",
      "waiting: not assigned",
      "nothing to install: discovered",
    ]);
    expect(readDisk(disk, 0, 4096).every(byte => byte === 0)).toBe(true);
  });

  test("survives a site that is not ready and a connection that is cut, and says so", async () => {
    site.failures.push({ status: 503, code: "internal", detail: "starting" }, null);
    await install(createDisk());
    const [first = "", second = ""] = said;
    expect(first).toMatch(/^registering failed, trying again in .*: .*\/register is not ready: starting/);
    expect(second).toMatch(
      /^registering failed, trying again in .*: .*\/register does not answer: socket hang up/,
    );
    expect(phases().at(-1)).toBe("booting");
  });

  test("waits for a site that is still fetching, as long as that takes, and says so once for each chunk", async () => {
    // More than a machine tries a site that cannot be reached, for each of the image's chunks.
    site.stillComing = 11 * new Set(image.frames.keys()).size;
    await install(createDisk());
    const waiting = said.filter(line => line.includes("is still on its way to the site"));
    expect(waiting.length).toBeGreaterThan(0);
    expect(waiting.length).toBeLessThanOrEqual(Math.ceil(image.rootfs.length / CHUNK_BYTES));
    expect(phases().at(-1)).toBe("booting");
  });

  test("ends at once when the site refuses its token", async () => {
    site.failures.push({ status: 403, code: "token.rejected", detail: "the boot token was used before" });
    expect(await failureOf(createDisk())).toMatchObject({
      code: "token.rejected",
      message: "the boot token was used before",
    });
    expect(said).toEqual([]);
  });

  test("writes zeros over what an old disk holds where the image is zero", async () => {
    await offer(image, { wipe: true });
    const disk = createDisk();
    writeDisk(disk, SLOT_A + CHUNK_BYTES + 5, Buffer.from("old"));
    await install(disk);
    expect(readDisk(disk, SLOT_A, image.rootfs.length).equals(image.rootfs)).toBe(true);
  });

  test("writes nothing of a chunk that was tampered with, names it, and leaves nothing that boots", async () => {
    const [victim = "", other = ""] = [...image.frames.keys()];
    image.frames.set(victim, image.frames.get(other) ?? Buffer.alloc(0));
    await offer(image, { wipe: true });
    const disk = createDisk();
    writeDisk(disk, 0, Buffer.alloc(512, 0x90));
    writeDisk(disk, 2 * MIB, Buffer.alloc(64 * 1024, 0x90));
    const error = await failureOf(disk);
    expect(error.code).toBe("bundle.tampered");
    expect(readDisk(disk, SLOT_A, 4 * CHUNK_BYTES).every(byte => byte === 0)).toBe(true);
    expect(readDisk(disk, 0, 440).every(byte => byte === 0)).toBe(true);
    expect(readDisk(disk, 2 * MIB, 64 * 1024).every(byte => byte === 0)).toBe(true);
    expect(site.progress.at(-1)).toMatchObject({
      phase: "failed",
      message: expect.stringContaining(error.message),
    });
  });

  test("names the chunk whose content is another of the same length", async () => {
    const swapped = await createTestImage();
    const [victim = ""] = swapped.frames.keys();
    swapped.frames.set(victim, await encodeChunk(Buffer.alloc(CHUNK_BYTES, 1)));
    await offer(swapped);
    const disk = createDisk();
    expect((await failureOf(disk)).message).toContain(`chunk ${victim} arrived with the content of`);
    expect(readDisk(disk, SLOT_A, CHUNK_BYTES).every(byte => byte === 0)).toBe(true);
  });

  test("refuses an image that is larger than the disk, with both sizes", async () => {
    expect(await failureOf(createDisk(100))).toMatchObject({
      code: "disk.too-small",
      message: expect.stringMatching(/image of 4\.0 MiB needs .* 141 MiB .* has 100 MiB/),
    });
    expect(site.progress.at(-1)?.message).toContain("Put in a larger disk");
  });

  test("refuses an image of another architecture", async () => {
    await offer(await createTestImage({ architecture: "arm64" }));
    const disk = createDisk();
    expect(await failureOf(disk)).toMatchObject({
      code: "image.wrong-architecture",
      message: "shop:v1 is for arm64; this machine is amd64",
    });
    expect(readDisk(disk, 0, 4096).every(byte => byte === 0)).toBe(true);
  });

  test("refuses a manifest that no pinned key signed", async () => {
    const stranger = await createTestImage();
    site.signedManifest = stranger.signed;
    expect((await failureOf(createDisk())).code).toBe("signature.rejected");
  });

  test("refuses a well-signed manifest of another image than the ordered one", async () => {
    await offer(image, { image: `sha256:${"0".repeat(64)}` });
    expect((await failureOf(createDisk())).code).toBe("bundle.tampered");
  });

  test("refuses a disk that holds data, and touches none of it", async () => {
    const disk = createDisk(150);
    writeDisk(disk, 510, Buffer.from([0x55, 0xaa]));
    const before = readDisk(disk, 0, disk.sizeBytes);
    expect(await failureOf(disk)).toMatchObject({
      code: "disk.refused",
      message: expect.stringContaining("holds a boot sector"),
    });
    expect(readDisk(disk, 0, disk.sizeBytes).equals(before)).toBe(true);
  });

  test("starts over on a disk that the same intent has begun, and on no other", async () => {
    const disk = createDisk();
    const [victim = ""] = image.frames.keys();
    const frame = image.frames.get(victim) ?? Buffer.alloc(0);
    image.frames.delete(victim);
    await failureOf(disk);
    image.frames.set(victim, frame);

    await offer(image, { intentId: "i-2" });
    expect((await failureOf(disk)).code).toBe("disk.refused");
    await offer(image);
    await install(disk);
    expect(readDisk(disk, SLOT_A, image.rootfs.length).equals(image.rootfs)).toBe(true);
  });

  test("fetches nothing that the slot holds already when the same intent comes again", async () => {
    const disk = createDisk();
    await install(disk);
    site.askedChunks.length = 0;
    writeDisk(disk, SLOT_A + 4 * MIB, Buffer.from("a power cut"));
    await offer(image);
    await install(disk);
    expect(site.askedChunks).toEqual([...image.frames.keys()].slice(-1));
    expect(said).toContain("48.0 KiB fetched, 4.0 MiB there already");
    expect(readDisk(disk, SLOT_A, image.rootfs.length).equals(image.rootfs)).toBe(true);
  });

  test("asks once more for a chunk that came with other content", async () => {
    const [victim = ""] = [...image.frames.keys()].slice(-1);
    const frame = image.frames.get(victim) ?? Buffer.alloc(0);
    image.frames.set(victim, await encodeChunk(Buffer.alloc(12 * 4096, 1)));
    const asks = () => site.askedChunks.filter(digest => digest === victim).length;
    site.beforeChunk = () => {
      if (asks() === 2) image.frames.set(victim, frame);
    };
    const disk = createDisk();
    await install(disk);
    expect(asks()).toBe(2);
    expect(readDisk(disk, SLOT_A, image.rootfs.length).equals(image.rootfs)).toBe(true);
  });

  test("installs on a real block device, sectors of 4096 bytes", async context => {
    needTools(context, "losetup", "blockdev", "partx");
    const file = createDisk(800);
    let loop: string;
    try {
      loop = runTool("losetup", "--find", "--show", "--sector-size", "4096", file.path).trim();
    } catch {
      return context.skip("no loop device to be had (needs root)");
    }
    try {
      const disk = describeDisk(loop, file.sizeBytes, 4096);
      await install(disk);
      const slotA = partitionsOf(disk).find(({ label }) => label === "drp-a");
      expect(slotA?.offsetBytes).toBe(290 * MIB);
      expect(readDisk(disk, 290 * MIB, image.rootfs.length).equals(image.rootfs)).toBe(true);
    } finally {
      runTool("losetup", "--detach", loop);
    }
  });

  test("says what is missing from the ramdisk", async () => {
    rmSync(join(folder.path, "core.img"));
    expect(await failureOf(createDisk())).toMatchObject({
      code: "boot-files.missing",
      message: "the ramdisk lacks core.img",
    });
  });
});
