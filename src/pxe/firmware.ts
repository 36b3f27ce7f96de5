/**
 * What a network-boot client is, by what its DHCP message says. The order of the questions is what keeps iPXE from loading
 * iPXE for ever: iPXE keeps sending its host firmware's architecture and vendor class.
 */
import { type ClientKey, isMac } from "../dhcp/client-key.ts";
import { type DhcpOptions, OPTION, readText, readUint16 } from "../dhcp/options.ts";
import { CLIENT_ARCHITECTURES, type LoaderTarget } from "./client-architectures.ts";

export type { LoaderTarget } from "./client-architectures.ts";

interface Reading {
  /** A few words: "iPXE", "bios PXE", "x64-uefi HTTP". */
  readonly words: string;
  /** For people, with what it was read from. */
  readonly reason: string;
}

export type Firmware =
  /** iPXE, in a ROM or loaded by us: it takes a script. */
  | ({ readonly kind: "ipxe" } & Reading)
  /** UEFI HTTP boot: it takes an URL, and only in an answer that says HTTPClient. */
  | ({ readonly kind: "uefi-http"; readonly target: LoaderTarget } & Reading)
  /** PXE: it takes a file name and fetches it over TFTP. */
  | ({ readonly kind: "pxe"; readonly target: LoaderTarget } & Reading)
  | ({ readonly kind: "unknown" } & Reading)
  /** An operating system that wants an address and nothing to boot. */
  | ({ readonly kind: "not-booting" } & Reading);

/**
 * IEEE's registrations of Raspberry Pi. The boot ROM of a Pi may report architecture 0, a BIOS (seen by Tinkerbell's smee on
 * the Pi 5); EDK2 on a Pi reports 11 and is an arm64 machine like others.
 */
const RASPBERRY_PI_PREFIXES = ["b8:27:eb", "dc:a6:32", "e4:5f:01", "d8:3a:dd", "2c:cf:67", "28:cd:c1"];

/**
 * @param options of the client's message; missing and malformed ones count as absent
 * @param client whose hardware address tells a Raspberry Pi that calls itself a BIOS
 */
export function identifyFirmware(options: DhcpOptions, client?: ClientKey): Firmware {
  const ipxe = ipxeEvidence(options);
  if (ipxe !== undefined) return { kind: "ipxe", words: "iPXE", reason: `iPXE (${ipxe})` };
  const vendorClass = readText(options, OPTION.vendorClass) ?? "";
  const architecture = readUint16(options, OPTION.clientArchitecture) ?? architectureIn(vendorClass);
  if (vendorClass.startsWith("HTTPClient")) return identifyHttpClient(architecture);
  if (vendorClass.startsWith("PXEClient")) return identifyPxeClient(architecture, client);
  return { kind: "not-booting", words: "not booting", reason: "not a network-boot client" };
}

function identifyHttpClient(number: number | undefined): Firmware {
  const target = targetOf(number, "http");
  if (target === undefined) return unknown("UEFI HTTP client", "HTTP", number);
  const reason = `UEFI HTTP client, ${target} (architecture ${number})`;
  return { kind: "uefi-http", target, words: `${target} HTTP`, reason };
}

/** A PXE client that says no architecture is a BIOS ROM from before RFC 4578. */
function identifyPxeClient(number: number | undefined, client: ClientKey | undefined): Firmware {
  const isPi = (number ?? 0) === 0 && client !== undefined && isRaspberryPi(client);
  const target = isPi ? "raspberry-pi" : targetOf(number ?? 0, "pxe");
  if (target === undefined) return unknown("PXE client", "PXE", number);
  const said = `architecture ${number ?? "not given"}${isPi ? ", told by its hardware address" : ""}`;
  return { kind: "pxe", target, words: `${target} PXE`, reason: `PXE client, ${target} (${said})` };
}

function targetOf(number: number | undefined, via: "pxe" | "http"): LoaderTarget | undefined {
  const architecture = number === undefined ? undefined : CLIENT_ARCHITECTURES.get(number);
  return architecture?.via === via ? (architecture.target ?? undefined) : undefined;
}

function unknown(client: string, via: string, number: number | undefined): Firmware {
  const name = number === undefined ? undefined : CLIENT_ARCHITECTURES.get(number)?.name;
  const which = `architecture ${number ?? "not given"}${name === undefined ? "" : `, ${name}`}`;
  return { kind: "unknown", words: `${via}, ${which}`, reason: `${client} of ${which}` };
}

function isRaspberryPi(client: ClientKey): boolean {
  return isMac(client) && RASPBERRY_PI_PREFIXES.includes(client.slice(0, "b8:27:eb".length));
}

/** "PXEClient:Arch:00007:UNDI:003016" (Intel PXE 2.1 §2.2.1 table 2-3, where option 93 is not yet asked for). */
function architectureIn(vendorClass: string): number | undefined {
  const digits = /^(?:PXE|HTTP)Client:Arch:(\d{5})(?!\d)/.exec(vendorClass)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function ipxeEvidence(options: DhcpOptions): string | undefined {
  const userClass = options.get(OPTION.userClass);
  if (userClass !== undefined && namesIpxe(userClass)) return "user class";
  if (options.has(OPTION.ipxe)) return "option 175";
  return undefined;
}

/** iPXE sends the bare string; RFC 3004 §4 asks for entries with a length byte each. */
function namesIpxe(userClass: Uint8Array): boolean {
  const text = Buffer.from(userClass).toString("latin1");
  if (text === "iPXE") return true;
  for (let offset = 0; offset < text.length; offset += 1 + text.charCodeAt(offset)) {
    if (text.startsWith("\x04iPXE", offset)) return true;
  }
  return false;
}
