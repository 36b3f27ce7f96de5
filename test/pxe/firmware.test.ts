import { describe, expect, it } from "vitest";
import { type MacAddress, parseMac } from "../../src/core/mac.ts";
import { OPTION, readText, textValue } from "../../src/dhcp/options.ts";
import { type BootAnswer, bootFields, decideBootFile } from "../../src/pxe/decide.ts";
import { identifyFirmware } from "../../src/pxe/firmware.ts";
import { LOADER_FILES } from "../../src/pxe/loader-files.ts";

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
  return decideBootFile(firmware, {
    client: MAC,
    answer,
    bootUrl,
    choice: "auto",
    loaders: LOADER_FILES,
    rejection: undefined,
  });
}

describe("identifyFirmware()", () => {
  /** The whole table of the field notes (§1) and of IANA's registry; "nothing" where no loader of any site would start. */
  const PXE = "RFC 4578 §2.1";
  const IANA = "IANA, Processor Architecture Types";
  it.each([
    [0, pxe, "bios", PXE],
    [1, pxe, "nothing", PXE],
    [2, pxe, "nothing", PXE],
    [5, pxe, "nothing", PXE],
    [6, pxe, "ia32-uefi", PXE],
    [7, pxe, "x64-uefi", "RFC 4578 erratum 4624: 7 and 9 were swapped, firmware sends either for x64"],
    [9, pxe, "x64-uefi", "RFC 4578 erratum 4624"],
    [10, pxe, "arm32-uefi", IANA],
    [11, pxe, "arm64-uefi", IANA],
    [12, pxe, "nothing", IANA],
    [15, http, "ia32-uefi", IANA],
    [16, http, "x64-uefi", IANA],
    [17, http, "nothing", IANA],
    [18, http, "arm32-uefi", IANA],
    [19, http, "arm64-uefi", IANA],
    [20, http, "nothing", IANA],
    [22, pxe, "nothing", "IANA: U-Boot without EFI; with it, it says 11"],
    [25, pxe, "nothing", IANA],
    [27, pxe, "riscv64-uefi", IANA],
    [28, http, "riscv64-uefi", IANA],
    [39, pxe, "loongarch64-uefi", IANA],
    [40, http, "loongarch64-uefi", IANA],
    [41, pxe, "raspberry-pi", IANA],
    [7, http, "nothing", "an HTTP client with PXE's number is neither"],
    [16, pxe, "nothing", "a PXE client with HTTP's number is neither"],
    [42, pxe, "nothing", "IANA: not assigned"],
    [65_535, http, "nothing", "IANA: not assigned"],
  ] as const)("takes architecture %i of %o for %s (%s)", (number, client, expected, _source) => {
    const firmware = identifyFirmware(new Map(client(number)));
    const target = "target" in firmware ? firmware.target : "nothing";
    expect(target).toBe(expected);
    expect(firmware.kind).toBe(expected === "nothing" ? "unknown" : client === pxe ? "pxe" : "uefi-http");
    expect(firmware.reason).toContain(`architecture ${number}`);
  });

  it("takes a PXE client without option 93 for a BIOS ROM older than RFC 4578", () => {
    const options = new Map([[OPTION.vendorClass, textValue("PXEClient")]]);
    expect(identifyFirmware(options)).toMatchObject({ kind: "pxe", target: "bios" });
  });

  it("reads the architecture from the vendor class where option 93 is not there (Intel PXE 2.1 §2.2.1)", () => {
    const said = (text: string) => identifyFirmware(new Map([[OPTION.vendorClass, textValue(text)]]));
    expect(said("PXEClient:Arch:00007:UNDI:003016")).toMatchObject({ target: "x64-uefi" });
    expect(said("HTTPClient:Arch:00016:UNDI:003001")).toMatchObject({
      kind: "uefi-http",
      target: "x64-uefi",
    });
    expect(said("PXEClient:Arch:000071")).toMatchObject({ target: "bios" });
    expect(said("HTTPClient")).toMatchObject({ kind: "unknown" });
  });

  it("tells a Raspberry Pi that calls itself a BIOS by its hardware address (field notes §1: Pi 5)", () => {
    const options = new Map(pxe(0));
    for (const prefix of ["b8:27:eb", "dc:a6:32", "e4:5f:01", "d8:3a:dd", "2c:cf:67", "28:cd:c1"]) {
      const firmware = identifyFirmware(options, `${prefix}:01:02:03` as MacAddress);
      expect(firmware).toMatchObject({ target: "raspberry-pi", words: "raspberry-pi PXE" });
    }
    expect(identifyFirmware(options, MAC)).toMatchObject({ target: "bios" });
    // EDK2 on a Pi is an arm64 machine like others.
    const edk2 = identifyFirmware(new Map(pxe(11)), "dc:a6:32:01:02:03" as MacAddress);
    expect(edk2).toMatchObject({ target: "arm64-uefi" });
  });

  it.each([
    [pxe(0), "bios PXE"],
    [http(16), "x64-uefi HTTP"],
    [[...pxe(7), [OPTION.userClass, textValue("iPXE")] as [number, Uint8Array]], "iPXE"],
    [pxe(12), "PXE, architecture 12, PowerPC Open Firmware"],
    [pxe(99), "PXE, architecture 99"],
  ])("has a few words for it: %#", (options, words) => {
    expect(identifyFirmware(new Map(options)).words).toBe(words);
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
    ["x64 UEFI", pxe(7), { kind: "tftp-loader", file: "snponly.efi" }],
    ["x64 UEFI over HTTP", http(16), { kind: "http-url", url: "http://10.0.0.1:8091/loaders/snponly.efi" }],
    [
      "iPXE",
      [...pxe(0), [OPTION.userClass, textValue("iPXE")] as [number, Uint8Array]],
      { kind: "script", url: SCRIPT },
    ],
    [
      "ARM64 UEFI, of which Debian builds no iPXE",
      pxe(11),
      { kind: "tftp-loader", file: "shimaa64.efi", reason: expect.stringContaining("no iPXE for it") },
    ],
    [
      "ARM64 UEFI over HTTP: the signed GRUB would stop at its prompt",
      http(19),
      { kind: "none", because: "pxe-only", reason: expect.stringContaining("starts over PXE alone") },
    ],
    ["IA32 UEFI, of which Debian's package has no loader", pxe(6), { kind: "none", because: "no-loader" }],
    ["a Raspberry Pi's boot ROM", pxe(41), { kind: "none" }],
    [
      "ARM32, never arm64's file",
      pxe(10),
      { kind: "none", reason: expect.stringContaining("no loader for it here") },
    ],
    [
      "an architecture that nobody knows",
      pxe(999),
      { kind: "none", because: "unknown-firmware", reason: "PXE client of architecture 999" },
    ],
    ["an operating system", [], { kind: "none", because: null, reason: "not a network-boot client" }],
  ])("answers %s", (_name, options, expected) => {
    expect(decide(options)).toMatchObject(expected);
  });

  it("gives nothing to boot to a machine that is to stay silent, and says why", () => {
    const silent = decide(pxe(0), { kind: "silent", reason: "the site ignores unknown machines" });
    expect(silent).toEqual({
      kind: "none",
      because: "unknown-machine",
      reason: "PXE client, bios (architecture 0); nothing to boot: the site ignores unknown machines",
    });
  });
});

describe("bootFields()", () => {
  it("leaves 60 and 43 out for PXE: EDK2 would take us for BINL and ask port 4011", () => {
    expect(bootFields(decide(pxe(7)))).toMatchObject({ file: "snponly.efi", options: new Map() });
  });

  it("says HTTPClient to a UEFI HTTP client: EDK2 does not see the offer otherwise", () => {
    const { file, options } = bootFields(decide(http(16)));
    expect(file).toBe("http://10.0.0.1:8091/loaders/snponly.efi");
    expect(readText(options, OPTION.vendorClass)).toBe("HTTPClient");
  });

  it("tells iPXE not to wait for a proxy (175.176)", () => {
    const { options } = bootFields(decide([[OPTION.ipxe, new Uint8Array()]]));
    expect(options.get(OPTION.ipxe)).toEqual(Uint8Array.of(176, 1, 1));
  });
});
