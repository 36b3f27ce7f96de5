import { describe, expect, it } from "vitest";
import { formatIpv4, type Ipv4, parseIpv4, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { ipv4Value, OPTION, textValue } from "../../src/dhcp/options.ts";
import {
  BOOT_REQUEST,
  type DhcpMessage,
  decodePacket,
  encodePacket,
  MESSAGE_TYPE,
} from "../../src/dhcp/packet.ts";
import { describeProxyDecision } from "../../src/pxe/describe-proxy.ts";
import { decideProxy, type ProxyPort } from "../../src/pxe/proxy.ts";

const us = { interfaceName: "eth0", address: address("10.0.0.1") };
const state = {
  bootFieldsFor: () => ({ file: "loader", options: new Map([[175, Uint8Array.of(1)]]), reason: "a test" }),
};

function address(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function asks(type: number, options: [number, Uint8Array][] = [], ciaddr: Ipv4 = UNSPECIFIED): DhcpMessage {
  return {
    op: BOOT_REQUEST,
    htype: 1,
    hops: 0,
    xid: 7,
    secs: 0,
    broadcast: true,
    ciaddr,
    yiaddr: UNSPECIFIED,
    siaddr: UNSPECIFIED,
    giaddr: UNSPECIFIED,
    chaddr: Uint8Array.of(2, 0, 0, 0, 0, 1),
    sname: "",
    file: "",
    options: new Map([[OPTION.messageType, Uint8Array.of(type)], ...options]),
  };
}

const pxe = (architecture: number): [number, Uint8Array][] => [
  [OPTION.vendorClass, textValue(`PXEClient:Arch:${String(architecture).padStart(5, "0")}`)],
  [OPTION.clientArchitecture, Uint8Array.of(0, architecture)],
];
const http: [number, Uint8Array][] = [
  [OPTION.vendorClass, textValue("HTTPClient:Arch:00016:UNDI:003001")],
  [OPTION.clientArchitecture, Uint8Array.of(0, 16)],
];
const ipxe: [number, Uint8Array][] = [...pxe(0), [OPTION.userClass, textValue("iPXE")]];

function answerTo(message: DhcpMessage, port: ProxyPort = "dhcp"): DhcpMessage {
  const decision = decideProxy(message, port, us, state);
  if (decision.kind === "silent") throw new Error(decision.reason);
  return decodePacket(encodePacket(decision.message));
}

const hex = (value: Uint8Array | undefined) =>
  value === undefined ? undefined : Buffer.from(value).toString("hex");

describe("decideProxy()", () => {
  it.each([
    ["a BIOS ROM: 43.6 = 8, the file is here (Intel PXE 2.1 §2.2.3)", pxe(0), "PXEClient", "060108ff"],
    ["x64 UEFI: no 43, or EDK2 drops it (edk2#6944)", pxe(7), "PXEClient", undefined],
    ["arm64 UEFI", pxe(11), "PXEClient", undefined],
    ["UEFI HTTP boot: 60 as EDK2 demands", http, "HTTPClient", undefined],
    ["iPXE, which still says that its ROM is a BIOS", ipxe, "PXEClient", undefined],
  ])("offers a file and no address to %s", (_name, options, vendorClass, vendorOptions) => {
    const offer = answerTo(asks(MESSAGE_TYPE.discover, options));
    expect(offer.yiaddr).toBe(UNSPECIFIED);
    expect(formatIpv4(offer.siaddr)).toBe("10.0.0.1");
    expect(offer.file).toBe("loader");
    expect(offer.options.get(OPTION.messageType)).toEqual(Uint8Array.of(MESSAGE_TYPE.offer));
    expect(offer.options.get(OPTION.serverIdentifier)).toEqual(new Uint8Array(ipv4Value(us.address)));
    expect(hex(offer.options.get(OPTION.vendorClass))).toBe(hex(textValue(vendorClass)));
    expect(hex(offer.options.get(43))).toBe(vendorOptions);
    // 175.176 would have iPXE look for no proxy: we are one.
    expect(offer.options.has(OPTION.ipxe)).toBe(false);
    expect(offer.options.has(OPTION.leaseSeconds)).toBe(false);
  });

  it("acknowledges on port 4011 with the file, to the client's own address", () => {
    const ack = answerTo(asks(MESSAGE_TYPE.request, pxe(7), address("10.0.0.77")), "boot-server");
    expect(ack.options.get(OPTION.messageType)).toEqual(Uint8Array.of(MESSAGE_TYPE.ack));
    expect(formatIpv4(ack.ciaddr)).toBe("10.0.0.77");
    expect(ack.file).toBe("loader");
  });

  it.each<[string, DhcpMessage, ProxyPort, string]>([
    ["an operating system", asks(MESSAGE_TYPE.discover), "dhcp", "not a network-boot client"],
    [
      "an architecture that nobody knows",
      asks(MESSAGE_TYPE.discover, pxe(99)),
      "dhcp",
      "PXE client of architecture 99",
    ],
    [
      "the REQUEST for an address",
      asks(MESSAGE_TYPE.request, pxe(7)),
      "dhcp",
      "the server that gives the addresses answers this",
    ],
    [
      "a DISCOVER on port 4011",
      asks(MESSAGE_TYPE.discover, pxe(7)),
      "boot-server",
      "the server that gives the addresses answers this",
    ],
    [
      "another server's message",
      { ...asks(MESSAGE_TYPE.offer, pxe(7)), op: 2 },
      "dhcp",
      "not a client's message",
    ],
  ])("stays silent for %s", (_name, message, port, reason) => {
    expect(decideProxy(message, port, us, state)).toMatchObject({ kind: "silent", reason });
  });

  it("stays silent for a machine that is to boot nothing, and says why, to programs too", () => {
    const nothing = {
      bootFieldsFor: () =>
        ({
          file: null,
          options: new Map(),
          nothingBecause: "unknown-machine",
          reason: "nothing to boot: unknown machine",
        }) as const,
    };
    const message = asks(MESSAGE_TYPE.discover, pxe(7));
    const decision = decideProxy(message, "dhcp", us, nothing);
    expect(decision).toEqual({
      kind: "silent",
      because: "unknown-machine",
      reason: "nothing to boot: unknown machine",
    });
    expect(describeProxyDecision(message, us, decision)).toMatchObject({
      kind: "proxy.silent",
      facts: { because: "unknown-machine" },
    });
  });
});
