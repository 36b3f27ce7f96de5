import { describe, expect, it } from "vitest";
import type { TftpPacket, TftpRequest } from "../../src/pxe/tftp-packet.ts";
import { decideTftpRequest, judgeRepeatedRequest, servedName } from "../../src/pxe/tftp-request.ts";

const request = (fileName: string, mode = "octet"): TftpRequest => ({ fileName, mode, options: new Map() });
const read = (fileName: string, mode?: string): TftpPacket => ({ kind: "read", ...request(fileName, mode) });

describe("decideTftpRequest()", () => {
  it.each<[string, TftpPacket | undefined, number, object]>([
    ["a read request", read("/ipxe.efi"), 2070, { kind: "look-up", name: "ipxe.efi" }],
    ["an upload", { kind: "write", ...request("x") }, 2070, { kind: "refuse", code: 2 }],
    ["netascii", read("x", "netascii"), 2070, { kind: "refuse", code: 0 }],
    ["mail", read("x", "mail"), 2070, { message: "mode mail is not served; ask for octet" }],
    [
      "a mode of control characters",
      read("x", "\x1b[2J"),
      2070,
      { message: expect.stringContaining("?[2J") },
    ],
    ["an acknowledgement", { kind: "ack", block: 1 }, 2070, { kind: "ignore" }],
    ["an error", { kind: "error", code: 5, message: "" }, 2070, { kind: "ignore" }],
    ["what is no packet", undefined, 2070, { kind: "ignore", reason: "it is no TFTP packet" }],
    // RFC 768: the source port is optional; Node throws where an answer is sent to port 0.
    ["a request from port 0", read("x"), 0, { kind: "ignore", reason: "it came from port 0" }],
  ])("decides on %s", (_, packet, remotePort, decision) => {
    expect(decideTftpRequest(packet, remotePort)).toMatchObject(decision);
  });
});

describe("servedName()", () => {
  it.each([
    ["ipxe.efi", "ipxe.efi"],
    ["/ipxe.efi", "ipxe.efi"],
    ["//grub//grub.cfg", "grub/grub.cfg"],
    // Windows' and some vendors' ROMs.
    ["\\boot\\x64\\wdsnbp.com", "boot/x64/wdsnbp.com"],
    // Intel UNDI PXE 2.1 reads past the end of DHCP option 67.
    ["pxelinux.0\xff", "pxelinux.0"],
    ["netboot.xyz.kpxe\xff\xff\xff\xff\xff", "netboot.xyz.kpxe"],
    ["undionly.kpxe\n;o\x1e", "undionly.kpxe"],
    ["../etc/passwd", "../etc/passwd"],
    ["\xff", ""],
  ])("of %j is %j", (asked, served) => {
    expect(servedName(asked)).toBe(served);
  });
});

describe("judgeRepeatedRequest()", () => {
  const running = (confirmed: boolean) => ({ request: request("ipxe.efi"), confirmed });

  it.each([
    ["the network doubled it", running(false), "ipxe.efi", 0, "same"],
    ["our first packet was lost", running(false), "ipxe.efi", 4000, "same"],
    ["it was held back on its way", running(true), "ipxe.efi", 30, "same"],
    ["the machine was reset: ROMs use port 2070 each time", running(true), "ipxe.efi", 1000, "new"],
    ["the client fetches its next file from the same port", running(true), "snponly.efi", 0, "new"],
  ])("when %s", (_, transfer, name, sinceProgressMs, meaning) => {
    expect(judgeRepeatedRequest(transfer, request(name), sinceProgressMs)).toBe(meaning);
  });
});
