import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeFatVolume, type FatVolume } from "../../../src/images/fat-volume.ts";
import { countingBytes, needTools, runTool, TemporaryFolder } from "./system-tools.ts";

const MIB = 1024 * 1024;
const VOLUME: FatVolume = {
  sizeBytes: 64 * MIB,
  sectorBytes: 512,
  offsetBytes: 2 * MIB,
  label: "DRP-ESP",
  volumeId: 0x1234abcd,
  files: [
    { path: "/EFI/BOOT/BOOTX64.EFI", content: countingBytes(200_001) },
    { path: "/drp/grubenv", content: Buffer.alloc(1024, "#") },
    { path: "/drp/slot-a.cfg", content: Buffer.from("set x='y'\n") },
  ],
};

function writeVolume(folder: TemporaryFolder, volume: FatVolume): string {
  const path = join(folder.path, "esp");
  writeFileSync(path, encodeFatVolume(volume));
  truncateSync(path, volume.sizeBytes);
  return path;
}

describe("encodeFatVolume()", () => {
  test.for([
    [512, 64],
    [4096, 288],
  ])(
    "with sectors of %i bytes in %i MiB is FAT32 without a fault",
    ([sectorBytes = 0, sizeMib = 0], context) => {
      needTools(context, "fsck.fat");
      using folder = new TemporaryFolder();
      const path = writeVolume(folder, { ...VOLUME, sectorBytes, sizeBytes: sizeMib * MIB });
      const report = runTool("fsck.fat", "-n", "-v", path);
      expect(report).toContain("FATs, 32 bit entries");
      expect(report).toMatch(/: 7 files, \d+\/\d+ clusters/);
      expect(report).not.toMatch(/differ|wrong|error|invalid/i);
    },
  );

  test("gives every file back to mtools", context => {
    needTools(context, "mcopy");
    using folder = new TemporaryFolder();
    const path = writeVolume(folder, VOLUME);
    const copy = join(folder.path, "copy");
    mkdirSync(copy);
    runTool("mcopy", "-s", "-i", path, "::/EFI", "::/drp", copy);
    for (const file of VOLUME.files) {
      expect(readFileSync(join(copy, file.path)).equals(file.content), file.path).toBe(true);
    }
  });

  test("keeps each file in one run of sectors", () => {
    const bytes = encodeFatVolume(VOLUME);
    for (const { path, content } of VOLUME.files)
      expect(bytes.includes(Buffer.from(content)), path).toBe(true);
  });

  test("refuses a size that would be FAT16 and names that are not 8.3", () => {
    expect(() => encodeFatVolume({ ...VOLUME, sizeBytes: 16 * MIB })).toThrow("too few for FAT32");
    for (const name of ["Mixed.cfg", "morethan8.cfg", "a.conf", "a b"]) {
      const files = [{ path: `/drp/${name}`, content: Buffer.from("x") }];
      expect(() => encodeFatVolume({ ...VOLUME, files }), name).toThrow("8.3");
    }
  });

  test("refuses files that do not fit", () => {
    const files = [{ path: "/big", content: Buffer.alloc(65 * MIB) }];
    expect(() => encodeFatVolume({ ...VOLUME, files })).toThrow("do not fit");
  });
});
