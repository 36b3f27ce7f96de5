import { describe, expect, test } from "vitest";
import { formatBytes } from "../../../src/core/bytes.ts";
import { type DiskContent, describeDiskContent } from "../../../src/images/disk-content.ts";
import {
  type CandidateDisk,
  type DiskPlan,
  diskGuidOfIntent,
  PARTITION_ROLES,
  planDisk,
  refuseContent,
} from "../../../src/images/disk-plan.ts";
import { encodeGpt, type Guid } from "../../../src/images/gpt.ts";
import { countingBytes } from "./system-tools.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const ORDER = { intentId: "i-1", diskPath: null, wipe: false };

function disk(path: string, sizeBytes: number, other: Partial<CandidateDisk> = {}): CandidateDisk {
  return { path, sizeBytes, sectorBytes: 512, removable: false, ...other };
}

function plan(disks: CandidateDisk[], other: Partial<Parameters<typeof planDisk>[0]> = {}) {
  return planDisk({
    disks,
    order: ORDER,
    imageBytes: 300 * MIB,
    firmware: "uefi",
    randomBytes: count => countingBytes(count),
    ...other,
  });
}

function planned(...args: Parameters<typeof plan>): DiskPlan {
  const decision = plan(...args);
  if (decision.kind !== "plan") throw new Error(decision.message);
  return decision.plan;
}

function mebibytes(chosen: DiskPlan): string[] {
  return PARTITION_ROLES.map(role => {
    const { label, offsetBytes, sizeBytes } = chosen.partitions[role];
    return `${label} ${offsetBytes / MIB}+${sizeBytes / MIB}`;
  });
}

describe("planDisk() divides", () => {
  test("a large disk into slots of twice the image, and data", () => {
    expect(mebibytes(planned([disk("/dev/sda", 8 * GIB)]))).toEqual([
      "drp-bios 1+1",
      "drp-esp 2+64",
      "drp-a 66+600",
      "drp-b 666+600",
      "drp-data 1266+6925",
    ]);
  });

  test("a small disk into slots of the image's size, and what remains for data", () => {
    expect(mebibytes(planned([disk("/dev/sda", 735 * MIB)]))).toEqual([
      "drp-bios 1+1",
      "drp-esp 2+64",
      "drp-a 66+300",
      "drp-b 366+300",
      "drp-data 666+68",
    ]);
  });

  test.each([512, 4096])(
    "every size from too small upwards without overlap, sectors of %i bytes",
    sectorBytes => {
      let fits = 0;
      for (let size = 600 * MIB; size < 3 * GIB; size += 37 * MIB + 4096) {
        const decision = plan([disk("/dev/sda", size, { sectorBytes })]);
        if (decision.kind === "refuse") continue;
        fits++;
        const partitions = PARTITION_ROLES.map(role => decision.plan.partitions[role]);
        for (const [index, next] of partitions.slice(1).entries()) {
          const before = partitions[index];
          expect(next.offsetBytes).toBe((before?.offsetBytes ?? 0) + (before?.sizeBytes ?? 0));
        }
        expect(decision.plan.partitions.a.sizeBytes).toBe(decision.plan.partitions.b.sizeBytes);
        expect(decision.plan.partitions.data.sizeBytes).toBeGreaterThanOrEqual(64 * MIB);
        encodeGpt({ diskGuid: decision.plan.diskGuid, partitions }, decision.plan.disk);
      }
      expect(fits).toBeGreaterThan(50);
    },
  );

  test("with the same disk GUID for the same intent, and another for another", () => {
    expect(planned([disk("/dev/sda", GIB)]).diskGuid).toBe(diskGuidOfIntent("i-1"));
    expect(diskGuidOfIntent("i-2")).not.toBe(diskGuidOfIntent("i-1"));
  });
});

describe("planDisk() chooses", () => {
  test("the smallest disk that holds the image and is not removable", () => {
    const disks = [
      disk("/dev/sdb", 4 * GIB),
      disk("/dev/sda", 2 * GIB),
      disk("/dev/sdc", GIB, { removable: true }),
      disk("/dev/sdd", 500 * MIB),
    ];
    expect(planned(disks).disk.path).toBe("/dev/sda");
  });

  test("the disk that the order names", () => {
    const disks = [disk("/dev/sda", 2 * GIB), disk("/dev/sdb", 4 * GIB)];
    expect(planned(disks, { order: { ...ORDER, diskPath: "/dev/sdb" } }).disk.path).toBe("/dev/sdb");
  });
});

describe("planDisk() refuses", () => {
  test("an image larger than the disk, with both sizes", () => {
    expect(plan([disk("/dev/sda", 512 * MIB)])).toEqual({
      kind: "refuse",
      code: "disk.too-small",
      message:
        "the image of 300 MiB needs a disk of at least 731 MiB (two slots, loader and data); /dev/sda has 512 MiB",
      advice: "Put in a larger disk, or build a smaller image.",
    });
  });

  test.each([1, 5, 30, 300, 2000])(
    "an image of %i MiB on every disk below the size that it asks for, and on no other",
    imageMib => {
      for (const sectorBytes of [512, 4096]) {
        const tryOn = (sizeMib: number) =>
          plan([disk("/dev/sda", sizeMib * MIB, { sectorBytes })], { imageBytes: imageMib * MIB });
        const neededMib = 3 + (sectorBytes === 512 ? 64 : 288) + 2 * imageMib + 64;
        expect(tryOn(neededMib - 1)).toMatchObject({
          kind: "refuse",
          message: expect.stringContaining(`at least ${formatBytes(neededMib * MIB)}`),
        });
        for (let sizeMib = neededMib; sizeMib < neededMib + 100; sizeMib++) {
          expect(tryOn(sizeMib).kind, `${sizeMib} MiB`).toBe("plan");
        }
      }
    },
  );

  test("a machine without a fixed disk", () => {
    const decision = plan([disk("/dev/sda", GIB, { removable: true })]);
    expect(decision).toMatchObject({
      code: "disk.refused",
      message: "no disk may be installed to; found: /dev/sda 1.0 GiB (removable)",
    });
    expect(plan([])).toMatchObject({ message: "no disk may be installed to; found: none" });
  });

  test("a removable disk even when the order names it", () => {
    const order = { ...ORDER, diskPath: "/dev/sda", wipe: true };
    expect(plan([disk("/dev/sda", GIB, { removable: true })], { order })).toMatchObject({
      code: "disk.refused",
    });
  });

  test("a disk that the machine does not have, and lists those that it has", () => {
    const order = { ...ORDER, diskPath: "/dev/sdz" };
    expect(plan([disk("/dev/sda", GIB)], { order })).toMatchObject({
      code: "disk.refused",
      message: "the machine has no disk /dev/sdz; it has: /dev/sda 1.0 GiB",
    });
  });

  test("sectors of 4096 bytes under a BIOS", () => {
    const disks = [disk("/dev/nvme0n1", 2 * GIB, { sectorBytes: 4096 })];
    expect(plan(disks, { firmware: "bios" })).toMatchObject({ code: "disk.refused" });
    expect(plan(disks).kind).toBe("plan");
  });
});

describe("refuseContent()", () => {
  const chosen = planned([disk("/dev/sda", GIB)]);
  const foreign: DiskContent = {
    kind: "used",
    description: "a partition table (root)",
    diskGuid: "11111111-2222-4333-8444-555555555555" as Guid,
  };

  test("lets an empty disk be written", () => {
    expect(refuseContent(chosen, { kind: "empty" }, ORDER)).toBeUndefined();
  });

  test("refuses a disk that holds something, and says what and what to do", () => {
    expect(refuseContent(chosen, foreign, ORDER)).toMatchObject({
      code: "disk.refused",
      message: "/dev/sda (1.0 GiB) holds a partition table (root)",
      advice: expect.stringContaining("--wipe"),
    });
  });

  test("lets a disk be wiped when the order says so", () => {
    expect(refuseContent(chosen, foreign, { ...ORDER, wipe: true })).toBeUndefined();
  });

  test("lets the same intent start over on the disk that it has begun, and no other intent", () => {
    const begun: DiskContent = { ...foreign, diskGuid: diskGuidOfIntent("i-1") };
    expect(refuseContent(chosen, begun, ORDER)).toBeUndefined();
    const other = planned([disk("/dev/sda", GIB)], { order: { ...ORDER, intentId: "i-2" } });
    expect(refuseContent(other, begun, { ...ORDER, intentId: "i-2" })).toMatchObject({
      code: "disk.refused",
    });
  });
});

describe("describeDiskContent()", () => {
  const zeros = Buffer.alloc(MIB);
  const withBytes = (offset: number, ...bytes: number[]) => {
    const head = Buffer.alloc(MIB);
    head.set(bytes, offset);
    return head;
  };

  test("takes only zeros at both ends for empty", () => {
    expect(describeDiskContent(zeros, zeros, 512)).toEqual({ kind: "empty" });
    expect(describeDiskContent(zeros, withBytes(MIB - 1, 1), 512).kind).toBe("used");
    expect(describeDiskContent(withBytes(99_999, 1), zeros, 512)).toMatchObject({ description: "data" });
  });

  test("names what it knows", () => {
    const ext = describeDiskContent(withBytes(0x438, 0x53, 0xef), zeros, 512);
    expect(ext).toMatchObject({ description: "an ext file system" });
    const dos = describeDiskContent(withBytes(510, 0x55, 0xaa), zeros, 512);
    expect(dos).toMatchObject({ description: "a boot sector or a DOS partition table" });
  });

  test("names the partitions of a GPT and its GUID", () => {
    const { diskGuid, partitions, disk: chosen } = planned([disk("/dev/sda", GIB)]);
    const gpt = encodeGpt({ diskGuid, partitions: Object.values(partitions) }, chosen);
    const head = Buffer.alloc(MIB);
    for (const { bytes, offsetBytes } of [gpt.primaryHeader, ...gpt.rest.slice(0, 1)])
      head.set(bytes, offsetBytes);
    expect(describeDiskContent(head, zeros, 512)).toEqual({
      kind: "used",
      description: "a partition table (drp-bios, drp-esp, drp-a, drp-b, drp-data)",
      diskGuid,
    });
  });
});
