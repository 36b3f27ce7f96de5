/** The DISCOVER with which other DHCP servers are looked for. Its offers are never taken. */
import { type Ipv4, UNSPECIFIED } from "../core/ipv4.ts";
import type { MacAddress } from "../core/mac.ts";
import { OPTION, textValue } from "./options.ts";
import { BOOT_REQUEST, type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";

/** A UEFI machine that wants to boot: a ProxyDHCP server answers no other. */
const VENDOR_CLASS = "PXEClient:Arch:00007:UNDI:003016";
const X64_UEFI = 7;
const PARAMETERS = 55;

/** @param mac of our own interface: a server that keeps a list of its clients is to see who asked */
export function searchForServers(mac: MacAddress, xid: number): DhcpMessage {
  return {
    op: BOOT_REQUEST,
    htype: 1,
    hops: 0,
    xid,
    secs: 0,
    // We have no raw socket to hear a unicast to an address that is not ours.
    broadcast: true,
    ciaddr: UNSPECIFIED as Ipv4,
    yiaddr: UNSPECIFIED,
    siaddr: UNSPECIFIED,
    giaddr: UNSPECIFIED,
    chaddr: Uint8Array.from(mac.split(":"), octet => Number.parseInt(octet, 16)),
    sname: "",
    file: "",
    options: new Map([
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)],
      [PARAMETERS, Uint8Array.of(OPTION.subnetMask, OPTION.router, OPTION.vendorClass, OPTION.bootFile)],
      [OPTION.vendorClass, textValue(VENDOR_CLASS)],
      [OPTION.clientArchitecture, Uint8Array.of(0, X64_UEFI)],
    ]),
  };
}
