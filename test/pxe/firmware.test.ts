import { describe, expect, it } from "vitest";
import { parseMac } from "../../src/core/mac.ts";
import { OPTION, readText, textValue } from "../../src/dhcp/options.ts";
import { type BootAnswer, bootFields, decideBootFile, LOADER_FILES } from "../../src/pxe/decide.ts";
import { identifyFirmware } from "../../src/pxe/firmware.ts";

const MAC = parseMac("52:54:00:12:34:56") ?? fail();
const SCRIPT = "http://10.0.0.1:8091/boot.ipxe?mac=52:54:00:12:34:56";

function fail(): never {
  throw new Error("not a MAC address");
}

function architecture(number: number): [number, Uint8Array] {
  return [OPTION.clientArchitecture, Uint8Array.of(number >> 8, number & 255)];
}

const pxe = (number: number): [number, Uint8Array][] => [
  [OPTION.vendorClass, textValue(`PXEClient:Arch:${String(number).padStart(5, "0")}:UNDI:003016`)],
  architecture(number),
];
const http = (number: number): [number, Uint8Array][] => [
  [OPTION.vendorClass, textValue(`HTTPClient:Arch:${String(number).padStart(5, "0")}:UNDI:003001`)],
  architecture(number),
];

function decide(options: [number, Uint8Array][], answer: BootAnswer = { kind: "boot" }) {
  const bootUrl = "http://10.0.0.1:8091";
  const firmware = identifyFirmware(new Map(options));
  return decideBootFile(firmware, { client: MAC, answer, bootUrl, loaders: LOADER_FILES });
}

describe("identifyFirmware()", () => {
  // IANA, Processor Architecture Types; RFC 4578 §2.1 with erratum 4624 (7 and 9 are both x64).
  it.each([
    [pxe(0), "pxe", "bios"],
    [pxe(6), "pxe", "ia32-uefi"],
    [pxe(7), "pxe", "x64-uefi"],
    [pxe(9), "pxe", "x64-uefi"],
    [pxe(10), "pxe", "arm32-uefi"],
    [pxe(11), "pxe", "arm64-uefi"],
    [http(15), "uefi-http", "ia32-uefi"],
    [http(16), "uefi-http", "x64-uefi"],
    [http(18), "uefi-http", "arm32-uefi"],
    [http(19), "uefi-http", "arm64-uefi"],
    [pxe(27), "pxe", "riscv64-uefi"],
    [pxe(39), "pxe", "loongarch64-uefi"],
    [pxe(41), "pxe", "raspberry-pi"],
  ])("knows client architecture %#", (options, kind, target) => {
    expect(identifyFirmware(new Map(options))).toMatchObject({ kind, target });
  });

  it("takes a PXE client without option 93 for a BIOS ROM older than RFC 4578", () => {
    const options = new Map([[OPTION.vendorClass, textValue("PXEClient")]]);
    expect(identifyFirmware(options)).toMatchObject({ kind: "pxe", target: "bios" });
  });

  it.each([
    ["the bare user class that iPXE sends", OPTION.userClass, textValue("iPXE")],
    ["RFC 3004's form", OPTION.userClass, textValue("\x04iPXE")],
    ["RFC 3004's form behind another class", OPTION.userClass, textValue("\x02ab\x04iPXE")],
    ["option 175", OPTION.ipxe, Uint8Array.of(0x12, 1, 1)],
  ])("recognises iPXE by %s, whatever its host firmware says", (_name, code, value) => {
    for (const host of [pxe(0), pxe(7), http(16)]) {
      expect(identifyFirmware(new Map([...host, [code, value]])).kind).toBe("ipxe");
    }
  });

  it("is not misled by a user class whose lengths lead nowhere", () => {
    for (const text of ["", "\x00", "\xffiPXE", "iPX", "\x05iPXE"]) {
      const options = new Map([[OPTION.userClass, Buffer.from(text, "latin1")]]);
      expect(identifyFirmware(options).kind).toBe("not-booting");
    }
  });
});

describe("decideBootFile()", () => {
  it.each([
    [
      "a BIOS ROM: a small loader, for larger ones are 'too big'",
      pxe(0),
      { kind: "tftp-loader", file: "undionly.kpxe" },
    ],
    ["x64 UEFI", pxe(7), { kind: "tftp-loader", file: "ipxe.efi" }],
    ["x64 UEFI over HTTP", http(16), { kind: "http-url", url: "http://10.0.0.1:8091/loaders/ipxe.efi" }],
    [
      "iPXE",
      [...pxe(0), [OPTION.userClass, textValue("iPXE")] as [number, Uint8Array]],
      { kind: "script", url: SCRIPT },
    ],
    [
      "ARM32, never arm64's file",
      pxe(10),
      { kind: "none", reason: expect.stringContaining("no loader for it here") },
    ],
    [
      "an architecture that nobody knows",
      pxe(999),
      { kind: "none", reason: "PXE client of architecture 999" },
    ],
    ["an operating system", [], { kind: "none", reason: "not a network-boot client" }],
  ])("answers %s", (_name, options, expected) => {
    expect(decide(options)).toMatchObject(expected);
  });

  it("gives nothing to boot to a machine that is to stay silent, and says why", () => {
    const silent = decide(pxe(0), { kind: "silent", reason: "the site ignores unknown machines" });
    expect(silent).toEqual({
      kind: "none",
      reason: "PXE client, bios (architecture 0); nothing to boot: the site ignores unknown machines",
    });
  });
});

describe("bootFields()", () => {
  it("leaves 60 and 43 out for PXE: EDK2 would take us for BINL and ask port 4011", () => {
    expect(bootFields(decide(pxe(7)))).toMatchObject({ file: "ipxe.efi", options: new Map() });
  });

  it("says HTTPClient to a UEFI HTTP client: EDK2 does not see the offer otherwise", () => {
    const { file, options } = bootFields(decide(http(16)));
    expect(file).toBe("http://10.0.0.1:8091/loaders/ipxe.efi");
    expect(readText(options, OPTION.vendorClass)).toBe("HTTPClient");
  });

  it("tells iPXE not to wait for a proxy (175.176)", () => {
    const { options } = bootFields(decide([[OPTION.ipxe, new Uint8Array()]]));
    expect(options.get(OPTION.ipxe)).toEqual(Uint8Array.of(176, 1, 1));
  });
});
