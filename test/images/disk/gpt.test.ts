import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 as zlibCrc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { crc32 } from "../../../src/images/crc32.ts";
import {
  type DiskGeometry,
  decodeGpt,
  type EncodedGpt,
  encodeGpt,
  type GptTable,
  type Guid,
  guidFromHash,
  guidFromRandom,
  recogniseGpt,
} from "../../../src/images/gpt.ts";
import { encodeProtectiveMbr } from "../../../src/images/mbr.ts";
import { countingBytes, needTools, runTool, TemporaryFolder } from "./system-tools.ts";

const MIB = 1024 * 1024;
const TABLE: GptTable = {
  diskGuid: "11111111-2222-4333-8444-555555555555" as Guid,
  partitions: [
    {
      label: "drp-esp",
      typeGuid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" as Guid,
      guid: "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee" as Guid,
      offsetBytes: MIB,
      sizeBytes: 3 * MIB,
    },
    {
      label: "drp-a",
      typeGuid: "0fc63daf-8483-4772-8e79-3d69d8477de4" as Guid,
      guid: "01234567-89ab-4def-8123-456789abcdef" as Guid,
      offsetBytes: 4 * MIB,
      sizeBytes: 10 * MIB,
    },
  ],
};

function extentsOf(gpt: EncodedGpt) {
  return [gpt.primaryHeader, ...gpt.rest];
}

function writeDisk(path: string, geometry: DiskGeometry): void {
  const file = openSync(path, "w");
  truncateSync(path, geometry.sizeBytes);
  writeSync(file, encodeProtectiveMbr(geometry), 0, 512, 0);
  for (const { bytes, offsetBytes } of extentsOf(encodeGpt(TABLE, geometry))) {
    writeSync(file, bytes, 0, bytes.length, offsetBytes);
  }
  closeSync(file);
}

describe("crc32()", () => {
  test("agrees with zlib", () => {
    const bytes = countingBytes(5000);
    expect(crc32(bytes)).toBe(zlibCrc32(bytes));
    expect(crc32(new Uint8Array())).toBe(0);
  });
});

describe("encodeGpt()", () => {
  test.each([512, 4096])(
    "with sectors of %i bytes stays within the disk, both copies at their ends",
    sectorBytes => {
      const sizeBytes = 32 * MIB;
      const extents = extentsOf(encodeGpt(TABLE, { sizeBytes, sectorBytes }));
      expect(extents.map(({ offsetBytes, bytes }) => [offsetBytes, offsetBytes + bytes.length])).toEqual([
        [sectorBytes, 2 * sectorBytes],
        [2 * sectorBytes, 2 * sectorBytes + 16384],
        [sizeBytes - sectorBytes - 16384, sizeBytes - sectorBytes],
        [sizeBytes - sectorBytes, sizeBytes],
      ]);
    },
  );

  test("is read by libblkid as it was meant", context => {
    needTools(context, "partx");
    using folder = new TemporaryFolder();
    const path = join(folder.path, "disk");
    writeDisk(path, { sizeBytes: 32 * MIB, sectorBytes: 512 });
    const read = runTool("partx", "--raw", "--noheadings", "--output", "START,SECTORS,NAME,UUID,TYPE", path);
    expect(read).toMatchInlineSnapshot(`
      "2048 6144 drp-esp aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee c12a7328-f81f-11d2-ba4b-00a0c93ec93b
      8192 20480 drp-a 01234567-89ab-4def-8123-456789abcdef 0fc63daf-8483-4772-8e79-3d69d8477de4
      "
    `);
  });

  test("is sound in the eyes of sfdisk", context => {
    needTools(context, "sfdisk");
    using folder = new TemporaryFolder();
    const path = join(folder.path, "disk");
    writeDisk(path, { sizeBytes: 32 * MIB, sectorBytes: 512 });
    expect(runTool("sfdisk", "--verify", path)).toContain("No errors detected.");
  });

  test("refuses a partition over the backup table", () => {
    const geometry = { sizeBytes: 14 * MIB, sectorBytes: 512 };
    expect(() => encodeGpt(TABLE, geometry)).toThrow(/partition drp-a .* does not fit/);
  });
});

function headOf(sectorBytes: number): Buffer {
  const head = Buffer.alloc(MIB);
  const { primaryHeader, rest } = encodeGpt(TABLE, { sizeBytes: 32 * MIB, sectorBytes });
  head.set(primaryHeader.bytes, primaryHeader.offsetBytes);
  for (const { bytes, offsetBytes } of rest.slice(0, 1)) head.set(bytes, offsetBytes);
  return head;
}

describe("decodeGpt()", () => {
  test.each([512, 4096])("gives back the partitions of a table with sectors of %i bytes", sectorBytes => {
    const expected = TABLE.partitions.map((partition, index) => ({ ...partition, number: index + 1 }));
    expect(decodeGpt(headOf(sectorBytes), sectorBytes)).toEqual(expected);
    expect(decodeGpt(headOf(sectorBytes).subarray(0, 6 * 4096), sectorBytes)).toEqual(expected);
  });

  test("sees no table where one bit of an entry is wrong, or entries are missing", () => {
    const head = headOf(512);
    expect(decodeGpt(head.subarray(0, 33 * 512), 512)).toBeUndefined();
    head.writeUInt8(head.readUInt8(1024 + 40) ^ 1, 1024 + 40);
    expect(decodeGpt(head, 512)).toBeUndefined();
  });
});

describe("recogniseGpt()", () => {
  test.each([512, 4096])("names GUID and labels of a table with sectors of %i bytes", sectorBytes => {
    expect(recogniseGpt(headOf(sectorBytes), sectorBytes)).toEqual({
      diskGuid: TABLE.diskGuid,
      labels: ["drp-esp", "drp-a"],
    });
  });

  test("knows a table by its header while its entries are not yet written", () => {
    const head = headOf(512).fill(0, 1024);
    expect(recogniseGpt(head, 512)).toEqual({ diskGuid: TABLE.diskGuid, labels: [] });
  });

  test("sees no table where any bit of the header is wrong", () => {
    for (let offset = 512; offset < 512 + 92; offset++) {
      const head = headOf(512);
      head[offset] = (head[offset] ?? 0) ^ 1;
      expect(recogniseGpt(head, 512), `offset ${offset}`).toBeUndefined();
    }
  });

  test("sees no table in a head that ends early", () => {
    const head = headOf(512);
    for (const length of [0, 100, 512, 600])
      expect(recogniseGpt(head.subarray(0, length), 512)).toBeUndefined();
  });
});

describe("GUIDs", () => {
  test("say of themselves whether they are random or made from a hash", () => {
    expect(guidFromRandom(Buffer.alloc(16, 0xff))).toBe("ffffffff-ffff-4fff-bfff-ffffffffffff");
    expect(guidFromHash(Buffer.alloc(32, 0xff))).toBe("ffffffff-ffff-8fff-bfff-ffffffffffff");
  });
});
