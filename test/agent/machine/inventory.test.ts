import { describe, expect, test } from "vitest";
import {
  parseCpuInfo,
  parseDisk,
  parseDmi,
  parseMemoryBytes,
  parseNic,
} from "../../../src/agent/machine/inventory.ts";
import { readInventory } from "../../../src/agent/machine/io/read-inventory.ts";
import { inventorySchema } from "../../../src/agent/protocol.ts";

/** QEMU q35, TCG, two processors: shortened to the lines that matter and their neighbours. */
const CPUINFO_QEMU = `processor\t: 0
vendor_id\t: AuthenticAMD
model\t\t: 107
model name\t: QEMU Virtual CPU version 2.5+
stepping\t: 1

processor\t: 1
vendor_id\t: AuthenticAMD
model\t\t: 107
model name\t: QEMU Virtual CPU version 2.5+
stepping\t: 1
`;

/** A Raspberry Pi 4: arm64 kernels name no model. */
const CPUINFO_ARM64 = `processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41

processor\t: 1
BogoMIPS\t: 108.00
CPU implementer\t: 0x41

Revision\t: c03111
`;

describe("parseCpuInfo()", () => {
  test("counts threads and names the model", () => {
    expect(parseCpuInfo(CPUINFO_QEMU)).toEqual({ model: "QEMU Virtual CPU version 2.5+", threads: 2 });
  });
  test("leaves the model empty where the kernel does", () => {
    expect(parseCpuInfo(CPUINFO_ARM64)).toEqual({ model: "", threads: 2 });
  });
});

describe("parseMemoryBytes()", () => {
  test("reads KiB that are called kB", () => {
    expect(parseMemoryBytes("MemTotal:        2022432 kB\nMemFree:         1810992 kB\n")).toBe(
      2_070_970_368,
    );
  });
});

describe("parseDisk()", () => {
  test("reads a virtio disk, whose serial lies beside the device", () => {
    const attributes = {
      size: "4194304\n",
      removable: "0\n",
      serial: "lab-1",
      "queue/logical_block_size": "512\n",
      "queue/rotational": "1\n",
    };
    expect(parseDisk("vda", true, attributes)).toEqual({
      path: "/dev/vda",
      sizeBytes: 2 * 1024 ** 3,
      sectorBytes: 512,
      model: "",
      serial: "lab-1",
      rotational: true,
      removable: false,
    });
  });

  test("reads an NVMe disk with sectors of 4096 bytes, whose size still counts in 512", () => {
    const attributes = {
      size: "1953525168\n",
      removable: "0\n",
      "queue/logical_block_size": "4096\n",
      "queue/rotational": "0\n",
      "device/model": "Samsung SSD 980 PRO 1TB                 \n",
      "device/serial": "S5GXNX0T123456      \n",
    };
    expect(parseDisk("nvme0n1", true, attributes)).toMatchObject({
      path: "/dev/nvme0n1",
      sizeBytes: 1_000_204_886_016,
      sectorBytes: 4096,
      model: "Samsung SSD 980 PRO 1TB",
      serial: "S5GXNX0T123456",
      rotational: false,
    });
  });

  test("reads a SATA disk's serial from its own page, behind four bytes of header", () => {
    const attributes = { size: "2048\n", "device/vpd_pg80": "\x00\x80\x00\x14     WD-WCC4N1234567" };
    expect(parseDisk("sda", true, attributes)).toMatchObject({ serial: "WD-WCC4N1234567" });
  });

  test("knows a USB stick as removable", () => {
    expect(parseDisk("sdb", true, { size: "2048\n", removable: "1\n" })).toMatchObject({ removable: true });
  });

  test.each([
    ["loop0", false, "2048"],
    ["zram0", false, "2048"],
    ["sr0", true, "2048"],
    ["fd0", true, "8"],
    ["mmcblk0boot0", true, "8192"],
    ["sdc", true, "0"],
  ])("takes %s for no disk", (name, hasHardware, size) => {
    expect(parseDisk(name, hasHardware, { size })).toBeUndefined();
  });
});

describe("parseNic()", () => {
  test("reads an interface with a link", () => {
    const attributes = { address: "52:54:00:12:34:56\n", carrier: "1\n" };
    expect(parseNic("eth0", "virtio_net", attributes)).toEqual({
      name: "eth0",
      mac: "52:54:00:12:34:56",
      driver: "virtio_net",
      carrier: true,
    });
  });
  test("takes the carrier of an interface that is down for none", () => {
    expect(parseNic("eth1", "igb", { address: "52:54:00:12:34:57\n" })).toMatchObject({ carrier: false });
  });
  test("leaves out what has no hardware or no Ethernet address", () => {
    expect(parseNic("lo", null, { address: "00:00:00:00:00:00\n" })).toBeUndefined();
    expect(
      parseNic("ib0", "ib_ipoib", { address: "80:00:02:08:fe:80:00:00:00:00:00:00:00\n" }),
    ).toBeUndefined();
  });
});

describe("parseDmi()", () => {
  test("reads vendor, product, serial and UUID", () => {
    const attributes = {
      sys_vendor: "QEMU\n",
      product_name: "Standard PC (Q35 + ICH9, 2009)\n",
      product_uuid: "9E0C6A4C-0000-4000-8000-525400123456\n",
    };
    expect(parseDmi(attributes)).toEqual({
      vendor: "QEMU",
      product: "Standard PC (Q35 + ICH9, 2009)",
      serial: "",
      uuid: "9e0c6a4c-0000-4000-8000-525400123456",
    });
  });
  test("drops what firmware prints from unset memory", () => {
    expect(parseDmi({ product_serial: "\xff\xff\x00 A1 \x01\n" })).toMatchObject({ serial: "A1" });
  });
});

describe("readInventory()", () => {
  test("finds on this machine what the protocol can say", async () => {
    const inventory = inventorySchema.parse(await readInventory());
    expect(inventory.cpu.threads).toBeGreaterThan(0);
    expect(inventory.memoryBytes).toBeGreaterThan(64 * 1024 * 1024);
  });
});
