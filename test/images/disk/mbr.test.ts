import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { encodeProtectiveMbr, patchBootSector, patchCoreImage } from "../../../src/images/mbr.ts";
import { fakeBootImage, fakeCoreImage } from "./loader-files.ts";

const GRUB_FOLDER = "/usr/lib/grub/i386-pc";
const MIB = 1024 * 1024;

describe("encodeProtectiveMbr()", () => {
  test("covers the disk with one partition of type ee", () => {
    const mbr = encodeProtectiveMbr({ sizeBytes: 64 * MIB, sectorBytes: 512 });
    expect(mbr.subarray(446, 462).toString("hex")).toBe("00000200eeffffff01000000ffff0100");
    expect(mbr.subarray(510).toString("hex")).toBe("55aa");
  });

  test("covers what 32 bits can say of a larger disk", () => {
    const mbr = encodeProtectiveMbr({ sizeBytes: 4 * 1024 ** 4, sectorBytes: 512 });
    expect(mbr.readUInt32LE(458)).toBe(0xffff_ffff);
  });
});

describe("patchBootSector()", () => {
  const mbr = encodeProtectiveMbr({ sizeBytes: 64 * MIB, sectorBytes: 512 });

  test("takes boot.img's code, points it at core.img, and keeps the partition table", () => {
    const sector = patchBootSector(mbr, fakeBootImage(), 2048);
    expect(sector.readBigUInt64LE(0x5c)).toBe(2048n);
    expect(sector.subarray(0x66, 0x68).toString("hex")).toBe("9090");
    expect(sector.subarray(440)).toEqual(mbr.subarray(440));
    const untouched = (bytes: Uint8Array) => [
      ...bytes.subarray(0, 0x5c),
      ...bytes.subarray(0x64, 0x66),
      ...bytes.subarray(0x68, 440),
    ];
    expect(untouched(sector)).toEqual(untouched(fakeBootImage()));
  });

  test("refuses what is no boot sector of GRUB", () => {
    expect(() => patchBootSector(mbr, Buffer.alloc(512), 2048)).toThrow("boot.img");
    expect(() => patchBootSector(mbr, fakeBootImage().subarray(0, 511), 2048)).toThrow("boot.img");
  });

  test("finds Debian's boot.img as expected", context => {
    if (!existsSync(`${GRUB_FOLDER}/boot.img`)) return context.skip("grub-pc-bin is not installed");
    const bootImage = readFileSync(`${GRUB_FOLDER}/boot.img`);
    expect(bootImage.readBigUInt64LE(0x5c)).toBe(1n);
    expect(patchBootSector(mbr, bootImage, 2048).readBigUInt64LE(0x5c)).toBe(2048n);
  });
});

describe("patchCoreImage()", () => {
  test("tells core.img where its other sectors are, and pads it to whole ones", () => {
    const core = patchCoreImage(fakeCoreImage(1500), 2048, MIB);
    expect(core.length).toBe(1536);
    expect(core.readBigUInt64LE(0x1f4)).toBe(2049n);
    expect(core.readUInt16LE(0x1fc)).toBe(2);
    expect(core.subarray(0, 0x1f4)).toEqual(fakeCoreImage(1500).subarray(0, 0x1f4));
    expect(core.subarray(512, 1500)).toEqual(fakeCoreImage(1500).subarray(512));
  });

  test("refuses one that is too large for its partition, or has no block list", () => {
    expect(() => patchCoreImage(fakeCoreImage(2000), 2048, 1024)).toThrow("core.img has 2000 bytes");
    expect(() => patchCoreImage(Buffer.alloc(2000), 2048, MIB)).toThrow("no block list");
  });

  test("finds Debian's first sector of core.img as expected", context => {
    const path = `${GRUB_FOLDER}/diskboot.img`;
    if (!existsSync(path)) return context.skip("grub-pc-bin is not installed");
    const core = Buffer.concat([readFileSync(path), Buffer.alloc(512)]);
    expect(patchCoreImage(core, 2048, MIB).readBigUInt64LE(0x1f4)).toBe(2049n);
  });
});
