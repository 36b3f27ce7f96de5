/**
 * What a network-boot client is, by what its DHCP message says. The order of the questions is what keeps iPXE from loading
 * iPXE for ever: iPXE keeps sending its host firmware's architecture and vendor class.
 */
import { type DhcpOptions, OPTION, readText, readUint16 } from "../dhcp/options.ts";

/** Processor and firmware interface of a loader file. */
export type LoaderTarget =
  | "bios"
  | "ia32-uefi"
  | "x64-uefi"
  | "arm32-uefi"
  | "arm64-uefi"
  | "riscv64-uefi"
  | "loongarch64-uefi"
  | "raspberry-pi";

export type Firmware =
  /** iPXE, in a ROM or loaded by us: it takes a script. */
  | { readonly kind: "ipxe"; readonly reason: string }
  /** UEFI HTTP boot: it takes an URL, and only in an answer that says HTTPClient. */
  | { readonly kind: "uefi-http"; readonly target: LoaderTarget; readonly reason: string }
  /** PXE: it takes a file name and fetches it over TFTP. */
  | { readonly kind: "pxe"; readonly target: LoaderTarget; readonly reason: string }
  | { readonly kind: "unknown"; readonly reason: string }
  /** An operating system that wants an address and nothing to boot. */
  | { readonly kind: "not-booting"; readonly reason: string };

/**
 * IANA's registry of processor architecture types (RFC 4578 §2.1 and later). RFC 4578 swapped 7 and 9 (erratum 4624):
 * firmware sends either for x64. A Raspberry Pi 5 may report 0, and is told apart by its hardware address elsewhere.
 */
const PXE_TARGETS: ReadonlyMap<number, LoaderTarget> = new Map([
  [0, "bios"],
  [6, "ia32-uefi"],
  [7, "x64-uefi"],
  [9, "x64-uefi"],
  [10, "arm32-uefi"],
  [11, "arm64-uefi"],
  [27, "riscv64-uefi"],
  [39, "loongarch64-uefi"],
  [41, "raspberry-pi"],
]);

const HTTP_TARGETS: ReadonlyMap<number, LoaderTarget> = new Map([
  [15, "ia32-uefi"],
  [16, "x64-uefi"],
  [18, "arm32-uefi"],
  [19, "arm64-uefi"],
]);

/** @param options of the client's message; missing and malformed ones count as absent */
export function identifyFirmware(options: DhcpOptions): Firmware {
  const ipxe = ipxeEvidence(options);
  if (ipxe !== undefined) return { kind: "ipxe", reason: `iPXE (${ipxe})` };
  const vendorClass = readText(options, OPTION.vendorClass) ?? "";
  const architecture = readUint16(options, OPTION.clientArchitecture);
  if (vendorClass.startsWith("HTTPClient")) return identifyHttpClient(architecture);
  if (vendorClass.startsWith("PXEClient")) return identifyPxeClient(architecture);
  return { kind: "not-booting", reason: "not a network-boot client" };
}

function identifyHttpClient(architecture: number | undefined): Firmware {
  const target = architecture === undefined ? undefined : HTTP_TARGETS.get(architecture);
  if (target === undefined) {
    return { kind: "unknown", reason: `UEFI HTTP client of architecture ${architecture ?? "not given"}` };
  }
  return { kind: "uefi-http", target, reason: `UEFI HTTP client, ${target} (architecture ${architecture})` };
}

/** A PXE client without option 93 is a BIOS ROM from before RFC 4578. */
function identifyPxeClient(architecture: number | undefined): Firmware {
  const target = PXE_TARGETS.get(architecture ?? 0);
  if (target === undefined) return { kind: "unknown", reason: `PXE client of architecture ${architecture}` };
  return {
    kind: "pxe",
    target,
    reason: `PXE client, ${target} (architecture ${architecture ?? "not given"})`,
  };
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
