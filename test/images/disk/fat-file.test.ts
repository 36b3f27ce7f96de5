import { describe, expect, test } from "vitest";
import { locateFatFile } from "../../../src/images/fat-file.ts";
import { encodeFatVolume } from "../../../src/images/fat-volume.ts";
import { countingBytes } from "./system-tools.ts";

const MIB = 1024 * 1024;
const FILES = [
  { path: "/EFI/BOOT/BOOTX64.EFI", content: countingBytes(20_001) },
  { path: "/drp/grub.cfg", content: countingBytes(3_000, 1) },
  { path: "/drp/grubenv", content: Buffer.alloc(1024, "#") },
  { path: "/drp/slot-a.cfg", content: Buffer.alloc(4096, "a") },
];

function makeVolume(sectorBytes: number, files = FILES): Buffer {
  const sizeBytes = (sectorBytes === 512 ? 64 : 288) * MIB;
  return encodeFatVolume({ sizeBytes, sectorBytes, offsetBytes: MIB, label: "DRP-ESP", volumeId: 1, files });
}

const readerOf = (volume: Buffer) => async (offset: number, length: number) =>
  volume.subarray(offset, offset + length);

describe("locateFatFile()", () => {
  test.each([512, 4096])("finds every file of a volume with sectors of %i bytes", async sectorBytes => {
    const volume = makeVolume(sectorBytes);
    for (const { path, content } of FILES) {
      const { offsetBytes, sizeBytes } = await locateFatFile(readerOf(volume), path);
      expect(sizeBytes, path).toBe(content.length);
      expect(volume.subarray(offsetBytes, offsetBytes + sizeBytes).equals(content), path).toBe(true);
    }
  });

  test("finds files in a folder of several sectors", async () => {
    const many = Array.from({ length: 100 }, (_, index) => ({
      path: `/drp/f${index}`,
      content: Buffer.from(`${index}`),
    }));
    const volume = makeVolume(512, many);
    const { offsetBytes } = await locateFatFile(readerOf(volume), "/drp/f99");
    expect(volume.toString("latin1", offsetBytes, offsetBytes + 2)).toBe("99");
  });

  test("refuses a file that lies in pieces", async () => {
    const volume = makeVolume(512);
    const { offsetBytes } = await locateFatFile(readerOf(volume), "/drp/slot-a.cfg");
    const fatBytes = volume.readUInt32LE(36) * 512;
    const cluster = (offsetBytes - 32 * 512 - 2 * fatBytes) / 512 + 2;
    volume.writeUInt32LE(cluster + 5, 32 * 512 + (cluster + 1) * 4);
    await expect(locateFatFile(readerOf(volume), "/drp/slot-a.cfg")).rejects.toThrow("one run of sectors");
  });

  test("ends in a folder whose chain runs in a circle", async () => {
    const volume = makeVolume(512);
    volume.writeUInt32LE(2, 32 * 512 + 2 * 4);
    await expect(locateFatFile(readerOf(volume), "/nothing")).rejects.toThrow("there is no file /nothing");
  });

  test.each([
    ["a file that is not there", "/drp/slot-b.cfg", makeVolume(512)],
    ["a folder that is not there", "/boot/grubenv", makeVolume(512)],
    ["a volume of another kind", "/drp/grubenv", Buffer.alloc(MIB)],
  ])("refuses %s", async (_, path, volume) => {
    await expect(locateFatFile(readerOf(volume), path)).rejects.toThrow("there is no");
  });
});
