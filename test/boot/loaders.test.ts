import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { arm64LoaderPackages, type BootPackages, bootPackages } from "../../boot/boot-packages.ts";
import { findKernel } from "../../boot/kernel-modules.ts";
import { copyArm64Loaders, copyNetworkLoaders } from "../../boot/loaders.ts";
import { DrpError, describeErrorChain } from "../../src/core/errors.ts";
import { PACKAGE_CACHE } from "./helpers/boot-tools.ts";

const packages = await orReason(() => bootPackages(PACKAGE_CACHE));
const arm64 = await orReason(() => arm64LoaderPackages(PACKAGE_CACHE));

/** Microsoft's PE/COFF specification: "Machine Types". */
const X64 = 0x8664;
const ARM64 = 0xaa64;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "drp-loaders-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.skipIf(typeof packages === "string")("copyNetworkLoaders()", () => {
  it("takes iPXE, the shim and the signed network GRUB out of Debian's packages", async () => {
    await copyNetworkLoaders(packages as BootPackages, folder);
    expect(await machineAndSignature("snponly.efi")).toEqual({ machine: X64, signed: false });
    expect(await machineAndSignature("ipxe.efi")).toEqual({ machine: X64, signed: false });
    expect(await machineAndSignature("shimx64.efi")).toEqual({ machine: X64, signed: true });
    expect(await machineAndSignature("grubx64.efi")).toEqual({ machine: X64, signed: true });
  });

  it("keeps a BIOS loader below what ROMs take ('NBP is too big')", async () => {
    // Below the 640 KiB of real mode there are some 480 KiB free.
    expect((await readFile(path.join(folder, "undionly.kpxe"))).length).toBeLessThan(128 * 1024);
  });

  it("finds the shim's GRUB to be the network one: it asks for grub.cfg over TFTP", async () => {
    const grub = await readFile(path.join(folder, "grubx64.efi"), "latin1");
    expect(grub).toContain("source $prefix/grub.cfg");
    expect(grub).toContain("tftp");
  });

  it("boots a kernel that Debian has signed", async () => {
    const { image } = await findKernel((packages as BootPackages).kernel.root);
    expect(readPe(await readFile(image))).toEqual({ machine: X64, signed: true });
  });
});

describe.skipIf(typeof arm64 === "string")("copyArm64Loaders()", () => {
  it("takes arm64's shim and network GRUB from packages of another architecture than the host's", async () => {
    if (typeof arm64 !== "string") await copyArm64Loaders(arm64, folder);
    expect(await machineAndSignature("shimaa64.efi")).toEqual({ machine: ARM64, signed: true });
    expect(await machineAndSignature("grubaa64.efi")).toEqual({ machine: ARM64, signed: true });
  });
});

async function machineAndSignature(name: string) {
  return readPe(await readFile(path.join(folder, name)));
}

/** PE/COFF: the certificate table is the fifth data directory of a 64-bit image's optional header. */
function readPe(image: Buffer): { machine: number; signed: boolean } {
  const header = image.readUInt32LE(0x3c);
  expect(image.toString("latin1", header, header + 4)).toBe("PE\0\0");
  const certificateTable = header + 24 + 112 + 4 * 8;
  return { machine: image.readUInt16LE(header + 4), signed: image.readUInt32LE(certificateTable + 4) > 0 };
}

async function orReason<T>(fetch: () => Promise<T>): Promise<T | string> {
  try {
    return await fetch();
  } catch (error) {
    if (!(error instanceof DrpError)) throw error;
    const reason = describeErrorChain(error);
    console.warn(`tests of loaders skipped: ${reason}`);
    return reason;
  }
}
