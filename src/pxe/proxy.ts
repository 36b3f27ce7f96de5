/**
 * What a ProxyDHCP server adds to another server's answer: where to boot from, and never an address (Intel PXE 2.1 §2.2.5).
 * Only network-boot clients are answered. Knows no lease and no socket.
 */
import { UNSPECIFIED } from "../core/ipv4.ts";
import { type ClientKey, clientKeyOf } from "../dhcp/client-key.ts";
import type { ReceivedOn } from "../dhcp/decide.ts";
import { type DhcpOptions, OPTION, readUint8, textValue } from "../dhcp/options.ts";
import { BOOT_REQUEST, type DhcpMessage, MESSAGE_TYPE } from "../dhcp/packet.ts";
import { type BootFields, type NothingToBoot, replyTo } from "../dhcp/reply.ts";
import { type Firmware, identifyFirmware } from "./firmware.ts";

/** The port that a message came in by: DHCP's own, or that of boot servers (4011). */
export type ProxyPort = "dhcp" | "boot-server";

export type ProxyDecision =
  | {
      readonly kind: "reply";
      readonly message: DhcpMessage;
      /** What the client can take: for `encodePacket()`. */
      readonly maxBytes: number;
      /** Our reading of the client, for people. */
      readonly firmware: string | null;
      readonly reason: string;
    }
  | {
      readonly kind: "silent";
      /** Why a machine that wants to boot is given nothing; null: it is no such machine. */
      readonly because: NothingToBoot | null;
      readonly reason: string;
    };

export interface ProxyState {
  /** Asked for each message, so it must be quick. */
  readonly bootFieldsFor: (message: DhcpMessage, client: ClientKey, receivedOn: ReceivedOn) => BootFields;
}

/** PXE's encapsulated options (RFC 4578 §2.4 gives 43 to them). */
const VENDOR_OPTIONS = 43;
/**
 * PXE_DISCOVERY_CONTROL (tag 6) = 8, "load the boot file of this offer, look for no boot server" (Intel PXE 2.1 §2.2.3
 * table 2-1), and the end tag, which the ROMs that read on until they meet it need.
 */
const TAKE_THE_BOOT_FILE = Uint8Array.of(6, 1, 8, 255);

/** @param message as decoded; a stranger's claims */
export function decideProxy(
  message: DhcpMessage,
  port: ProxyPort,
  receivedOn: ReceivedOn,
  state: ProxyState,
): ProxyDecision {
  if (message.op !== BOOT_REQUEST) return silent("not a client's message");
  const firmware = identifyFirmware(message.options);
  if (firmware.kind === "not-booting") return silent(firmware.reason);
  if (firmware.kind === "unknown") return silent(firmware.reason, "unknown-firmware");
  const type = answerType(message, port);
  if (type === undefined) return silent("the server that gives the addresses answers this");
  const client = clientKeyOf(message);
  if (client === undefined)
    return silent(`hardware type ${message.htype} is neither Ethernet nor InfiniBand`);
  const boot = state.bootFieldsFor(message, client, receivedOn);
  if (boot.file === null) return silent(boot.reason, boot.nothingBecause);
  const fields: BootFields = { ...boot, options: proxyOptions(firmware) };
  const reply = replyTo(message, {
    type,
    serverIdentifier: receivedOn.address,
    bootServer: receivedOn.address,
    ciaddr: port === "boot-server" ? message.ciaddr : UNSPECIFIED,
    options: [],
    boot: fields,
  });
  return { kind: "reply", ...reply, firmware: boot.firmware ?? null, reason: boot.reason };
}

/**
 * On DHCP's port a DISCOVER is offered what to boot; the REQUEST that follows it is for the server with the addresses. A boot
 * server acknowledges: firmware sends it a REQUEST, some ROMs an INFORM (Intel PXE 2.1 §2.2.4).
 */
function answerType(message: DhcpMessage, port: ProxyPort): number | undefined {
  const type = readUint8(message.options, OPTION.messageType);
  if (port === "dhcp") return type === MESSAGE_TYPE.discover ? MESSAGE_TYPE.offer : undefined;
  return type === MESSAGE_TYPE.request || type === MESSAGE_TYPE.inform ? MESSAGE_TYPE.ack : undefined;
}

/**
 * 60 makes it a PXE offer. A BIOS ROM is told in 43 to take the file at once. EDK2 before 2017 drops the first proxy offer
 * that has 43.6 (tianocore/edk2#6944); without 43 it takes the offer for a BINL server's and asks port 4011. iPXE takes the
 * file of either.
 */
function proxyOptions(firmware: Firmware): DhcpOptions {
  if (firmware.kind === "uefi-http") return new Map([[OPTION.vendorClass, textValue("HTTPClient")]]);
  const pxe: [number, Uint8Array][] = [[OPTION.vendorClass, textValue("PXEClient")]];
  const isBios = firmware.kind === "pxe" && firmware.target === "bios";
  return new Map(isBios ? [...pxe, [VENDOR_OPTIONS, TAKE_THE_BOOT_FILE]] : pxe);
}

function silent(reason: string, because: NothingToBoot | null = null): ProxyDecision {
  return { kind: "silent", because, reason };
}
