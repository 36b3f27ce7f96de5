import { describe, expect, it } from "vitest";
import { parseIpv4, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { OPTION, textValue } from "../../src/dhcp/options.ts";
import { BOOT_REQUEST, type DhcpMessage, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import { BootDesk } from "../../src/pxe/boot-desk.ts";
import type { BootSettings, LoaderChoice, ScriptQuestion } from "../../src/pxe/boot-process-messages.ts";
import { LOADER_FILES } from "../../src/pxe/loader-files.ts";
import { macOf } from "../store/records.ts";

const MAC = macOf(1);
const ON = { interfaceName: "br0", address: parseIpv4("10.0.0.1") ?? UNSPECIFIED } as const;
const FROM: ScriptQuestion = { mac: MAC, remoteAddress: "10.0.0.9", localAddress: "10.0.0.1" };

function desk(loader: LoaderChoice = "auto", scriptFor = async () => "") {
  const settings: BootSettings = {
    subnets: [],
    classes: [],
    bootPort: 8091,
    loaders: LOADER_FILES,
    loader,
    tftpFiles: new Map([["shimx64.efi", "/boot/shimx64.efi"]]),
    bootAnswers: new Map(),
    unknown: { kind: "boot" },
  };
  return new BootDesk(
    () => settings,
    scriptFor,
    () => 0,
  );
}

function message(vendorClass: string, architecture: number, type: number = MESSAGE_TYPE.discover) {
  const options = new Map<number, Uint8Array>([
    [OPTION.messageType, Uint8Array.of(type)],
    [OPTION.vendorClass, textValue(vendorClass)],
    [OPTION.clientArchitecture, Uint8Array.of(0, architecture)],
  ]);
  const zero = { ciaddr: 0, yiaddr: 0, siaddr: 0, giaddr: 0 } as DhcpMessage;
  return {
    ...zero,
    op: BOOT_REQUEST,
    htype: 1,
    hops: 0,
    xid: 1,
    secs: 0,
    broadcast: true,
    options,
  } as DhcpMessage;
}
const uefi = (type?: number) => message("PXEClient", 7, type);
const http = () => message("HTTPClient", 16);
const ipxe = () => {
  const { options, ...rest } = uefi();
  return { ...rest, options: new Map([...options, [OPTION.userClass, textValue("iPXE")] as const]) };
};

describe("BootDesk", () => {
  it("gives iPXE first, and the signed chain to a machine that fetched it and came back as firmware", () => {
    const boot = desk();
    expect(boot.bootFieldsFor(uefi(), MAC, ON)).toMatchObject({
      file: "snponly.efi",
      firmware: "x64-uefi PXE",
    });
    boot.hearFetched(MAC, "snponly.efi");
    expect(boot.bootFieldsFor(uefi(), MAC, ON)).toMatchObject({
      file: "shimx64.efi",
      reason:
        "PXE client, x64-uefi (architecture 7); it fetched all of snponly.efi and did not start it, as firmware with Secure Boot does: shimx64.efi",
    });
    expect(boot.bootFieldsFor(uefi(), macOf(2), ON).file).toBe("snponly.efi");
  });

  it("does not take a repeated REQUEST for a return, nor iPXE's own DISCOVER, nor autoexec.ipxe's fetch", async () => {
    const boot = desk();
    boot.hearFetched(MAC, "snponly.efi");
    expect(boot.bootFieldsFor(uefi(MESSAGE_TYPE.request), MAC, ON).file).toBe("snponly.efi");
    boot.bootFieldsFor(ipxe(), MAC, ON);
    expect(boot.bootFieldsFor(uefi(), MAC, ON).file).toBe("snponly.efi");
    boot.hearFetched(MAC, "snponly.efi");
    await boot.findTftpFile("autoexec.ipxe", FROM);
    expect(boot.bootFieldsFor(uefi(), MAC, ON).file).toBe("snponly.efi");
  });

  it("leaves a BIOS with iPXE: it knows no Secure Boot", () => {
    const boot = desk();
    boot.hearFetched(MAC, "undionly.kpxe");
    expect(boot.bootFieldsFor(message("PXEClient", 0), MAC, ON).file).toBe("undionly.kpxe");
  });

  it("sends UEFI HTTP boot that rejected iPXE on to PXE, and says why", () => {
    const boot = desk();
    expect(boot.bootFieldsFor(http(), MAC, ON).file).toBe("http://10.0.0.1:8091/loaders/snponly.efi");
    boot.hearFetched(MAC, "snponly.efi");
    expect(boot.bootFieldsFor(http(), MAC, ON)).toMatchObject({
      file: null,
      reason: expect.stringContaining("shimx64.efi starts over PXE alone"),
    });
    expect(boot.bootFieldsFor(uefi(), MAC, ON).file).toBe("shimx64.efi");
  });

  it.each([
    ["ipxe", 7, "snponly.efi"],
    ["ipxe", 11, null],
    ["signed", 7, "shimx64.efi"],
    ["signed", 11, "shimaa64.efi"],
    ["signed", 0, "undionly.kpxe"],
    ["auto", 11, "shimaa64.efi"],
  ] as const)("with boot.loader %s gives architecture %i %s", (choice, architecture, file) => {
    expect(desk(choice).bootFieldsFor(message("PXEClient", architecture), MAC, ON).file).toBe(file);
  });

  it("asks the parent for GRUB's script and looks everything else up by name", async () => {
    const boot = desk("auto", async () => "echo hello\n");
    expect(await boot.findTftpFile("grub/grub.cfg", FROM)).toEqual({
      kind: "content",
      bytes: Buffer.from("echo hello\n"),
    });
    expect(await boot.findTftpFile("shimx64.efi", FROM)).toEqual({ kind: "file", path: "/boot/shimx64.efi" });
    for (const name of ["revocations_sku.efi", "grub/x86_64-efi/command.lst", "../shimx64.efi"]) {
      expect(await boot.findTftpFile(name, FROM)).toBeUndefined();
    }
  });
});
