/** Which boot file a client gets, and what a reply must say so that its firmware takes it. */
import type { MacAddress } from "../core/mac.ts";
import { type ClientKey, isMac } from "../dhcp/client-key.ts";
import { OPTION, textValue } from "../dhcp/options.ts";
import type { BootFields, NothingToBoot } from "../dhcp/reply.ts";
import type { Firmware, LoaderTarget } from "./firmware.ts";

/**
 * What PXE and HTTP clients load first. "auto": iPXE where there is one for the firmware, else the signed shim and GRUB, and
 * these too where Secure Boot has rejected iPXE. "signed": for UEFI always these.
 */
export type LoaderChoice = "auto" | "ipxe" | "signed";

export type BootFileDecision =
  /** A file name for TFTP. */
  | { readonly kind: "tftp-loader"; readonly file: string; readonly reason: string }
  /** A loader's URL for UEFI HTTP boot. */
  | { readonly kind: "http-url"; readonly url: string; readonly reason: string }
  /** A script's URL for iPXE. */
  | { readonly kind: "script"; readonly url: string; readonly reason: string }
  /** @member because null: it does not want to boot */
  | { readonly kind: "none"; readonly because: NothingToBoot | null; readonly reason: string };

/** Whether a machine is given anything to boot. */
export type BootAnswer =
  | { readonly kind: "boot" }
  /** It gets an address and nothing to boot, because no machine of the site has its address. */
  | { readonly kind: "silent"; readonly reason: string };

export interface BootFileContext {
  readonly client: ClientKey;
  readonly answer: BootAnswer;
  /** Of the boot HTTP server, without a slash at the end: "http://10.0.0.1:8091". */
  readonly bootUrl: string;
  readonly choice: LoaderChoice;
  /** The loaders that this site has. */
  readonly loaders: LoaderFiles;
  /** Why this machine is not given iPXE although there is one for it (loader-memory.ts). */
  readonly rejection: string | undefined;
}

/** File names by target, of iPXE and of the chain that Secure Boot accepts. */
export interface LoaderFiles {
  readonly ipxe: Readonly<Partial<Record<LoaderTarget, string>>>;
  readonly signed: Readonly<Partial<Record<LoaderTarget, string>>>;
}

export function decideBootFile(firmware: Firmware, context: BootFileContext): BootFileDecision {
  const { kind, reason } = firmware;
  if (kind === "not-booting") return { kind: "none", because: null, reason };
  if (kind === "unknown") return { kind: "none", because: "unknown-firmware", reason };
  if (context.answer.kind === "silent") {
    const why = `${reason}; nothing to boot: ${context.answer.reason}`;
    return { kind: "none", because: "unknown-machine", reason: why };
  }
  if (kind === "ipxe") {
    // iPXE fills in the address where DHCP carries none.
    const mac = isMac(context.client) ? context.client : "${netX/mac}";
    return { kind: "script", url: scriptUrl(context.bootUrl, mac), reason };
  }
  const { file, why } = chooseLoader(firmware.target, context);
  const reasons = why === undefined ? reason : `${reason}; ${why}`;
  if (file === undefined) {
    return { kind: "none", because: "no-loader", reason: `${reasons}; no loader for it here` };
  }
  if (kind === "pxe") return { kind: "tftp-loader", file, reason: reasons };
  if (file === context.loaders.signed[firmware.target]) {
    const why = `${reasons}; ${file} starts over PXE alone: ${SIGNED_GRUB_HAS_NO_HTTP}`;
    return { kind: "none", because: "pxe-only", reason: why };
  }
  return { kind: "http-url", url: `${context.bootUrl}/loaders/${file}`, reason: reasons };
}

/** Debian's grubnetx64.efi.signed 2.06: without TFTP it would stop at its prompt, where nobody types. */
const SIGNED_GRUB_HAS_NO_HTTP = "the signed GRUB behind it has TFTP and no HTTP";

interface ChosenLoader {
  readonly file: string | undefined;
  /** Undefined where it is the loader that everybody gets. */
  readonly why?: string;
}

function chooseLoader(target: LoaderTarget, { choice, loaders, rejection }: BootFileContext): ChosenLoader {
  const ipxe = loaders.ipxe[target];
  const signed = loaders.signed[target];
  if (choice === "ipxe") return { file: ipxe };
  if (choice === "signed" && signed !== undefined) return { file: signed, why: "boot.loader is signed" };
  if (ipxe === undefined && signed !== undefined)
    return { file: signed, why: "there is no iPXE for it here" };
  if (signed !== undefined && rejection !== undefined) return { file: signed, why: rejection };
  return { file: ipxe };
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
      return {
        file: null,
        options: new Map(),
        ...(decision.because === null ? {} : { nothingBecause: decision.because }),
        reason: decision.reason,
      };
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
