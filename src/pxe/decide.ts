/** Which boot file a client gets, and what a reply must say so that its firmware takes it. */

import type { MacAddress } from "../core/mac.ts";
import { type ClientKey, isMac } from "../dhcp/client-key.ts";
import { OPTION, textValue } from "../dhcp/options.ts";
import type { BootFields } from "../dhcp/reply.ts";
import type { Firmware, LoaderTarget } from "./firmware.ts";

export type BootFileDecision =
  /** A file name for TFTP. */
  | { readonly kind: "tftp-loader"; readonly file: string; readonly reason: string }
  /** A loader's URL for UEFI HTTP boot. */
  | { readonly kind: "http-url"; readonly url: string; readonly reason: string }
  /** A script's URL for iPXE. */
  | { readonly kind: "script"; readonly url: string; readonly reason: string }
  | { readonly kind: "none"; readonly reason: string };

/** Whether a machine is given anything to boot. */
export type BootAnswer =
  | { readonly kind: "boot" }
  /** It gets an address and nothing to boot. */
  | { readonly kind: "silent"; readonly reason: string };

export interface BootFileContext {
  readonly client: ClientKey;
  readonly answer: BootAnswer;
  /** Of the boot HTTP server, without a slash at the end: "http://10.0.0.1:8091". */
  readonly bootUrl: string;
  /** The loaders that this site has, by target. */
  readonly loaders: LoaderFiles;
}

export type LoaderFiles = Readonly<Partial<Record<LoaderTarget, string>>>;

/** Names as Debian's package has them; a site offers those whose files it has. */
export const LOADER_FILES: LoaderFiles = { bios: "undionly.kpxe", "x64-uefi": "ipxe.efi" };

export function decideBootFile(firmware: Firmware, context: BootFileContext): BootFileDecision {
  const { kind, reason } = firmware;
  if (kind === "not-booting" || kind === "unknown") return { kind: "none", reason };
  if (context.answer.kind === "silent") {
    return { kind: "none", reason: `${reason}; nothing to boot: ${context.answer.reason}` };
  }
  if (kind === "ipxe") {
    // iPXE fills in the address where DHCP carries none.
    const mac = isMac(context.client) ? context.client : "${netX/mac}";
    return { kind: "script", url: scriptUrl(context.bootUrl, mac), reason };
  }
  const file = context.loaders[firmware.target];
  if (file === undefined) return { kind: "none", reason: `${reason}; no loader for it here` };
  if (kind === "uefi-http") return { kind: "http-url", url: `${context.bootUrl}/loaders/${file}`, reason };
  return { kind: "tftp-loader", file, reason };
}

export function scriptUrl(bootUrl: string, mac: MacAddress | "${netX/mac}"): string {
  return `${bootUrl}/boot.ipxe?mac=${mac}`;
}

/** iPXE's encapsulated option 176, "no-pxedhcp": do not wait two seconds for a proxy that will not come. */
const NO_PROXY_DHCP = Uint8Array.of(176, 1, 1);

/**
 * A PXE client gets neither 60 nor 43: EDK2 takes an offer with PXEClient and no 43.6–43.10 for a BINL server and asks port
 * 4011. A UEFI HTTP client sees an offer only if 60 says HTTPClient.
 */
export function bootFields(decision: BootFileDecision): BootFields {
  switch (decision.kind) {
    case "none":
      return { file: null, options: new Map(), reason: decision.reason };
    case "tftp-loader":
      return { file: decision.file, options: new Map(), reason: `${decision.reason}: ${decision.file}` };
    case "http-url":
      return {
        file: decision.url,
        options: new Map([[OPTION.vendorClass, textValue("HTTPClient")]]),
        reason: `${decision.reason}: ${decision.url}`,
      };
    case "script":
      return {
        file: decision.url,
        options: new Map([[OPTION.ipxe, NO_PROXY_DHCP]]),
        reason: `${decision.reason}: ${decision.url}`,
      };
  }
}
