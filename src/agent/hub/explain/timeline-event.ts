/** An event as the explanation of a boot reads it, and what its facts say of who asked. The kinds are in docs/booting.md. */
import type { EpochMs } from "../../../core/time.ts";

export interface TimelineEvent {
  readonly at: EpochMs;
  readonly kind: string;
  readonly severity: "info" | "warning" | "alarm";
  readonly mac: string | null;
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** Which program of a machine speaks: its firmware (over TFTP or HTTP), iPXE, or an operating system. */
export type Speaker = "pxe" | "uefi-http" | "ipxe" | "system";

export function isAddressEvent({ kind }: TimelineEvent): boolean {
  return /^(dhcp|proxy)\.(offer|ack|nak|silent)$/.test(kind);
}

/** By what a DHCP message says of its sender; iPXE goes on sending what the firmware beneath it says. */
export function speakerOf({ facts }: TimelineEvent): Speaker {
  if (/iPXE/.test(textFact(facts.userClass)) || /^iPXE/.test(textFact(facts.firmware))) return "ipxe";
  const vendorClass = textFact(facts.vendorClass);
  if (vendorClass.startsWith("HTTPClient")) return "uefi-http";
  if (vendorClass.startsWith("PXEClient")) return "pxe";
  return "system";
}

/** IANA's processor architecture types (RFC 4578 §2.1 and later), as people call them. */
const ARCHITECTURES: ReadonlyMap<number, string> = new Map([
  [0, "BIOS"],
  [6, "32-bit UEFI"],
  [7, "x64 UEFI"],
  [9, "x64 UEFI"],
  [10, "32-bit Arm UEFI"],
  [11, "arm64 UEFI"],
  [15, "32-bit UEFI"],
  [16, "x64 UEFI"],
  [18, "32-bit Arm UEFI"],
  [19, "arm64 UEFI"],
  [27, "RISC-V UEFI"],
  [39, "LoongArch UEFI"],
  [41, "Raspberry Pi"],
]);

/** "x64 UEFI, PXE"; "BIOS, iPXE"; "an operating system" */
export function describeSpeaker(event: TimelineEvent): string {
  const speaker = speakerOf(event);
  if (speaker === "system") return "an operating system";
  const { architecture } = event.facts;
  const name =
    typeof architecture === "number"
      ? (ARCHITECTURES.get(architecture) ?? `architecture ${architecture}`)
      : "BIOS";
  const how = { pxe: "PXE", "uefi-http": "HTTP boot", ipxe: "iPXE" }[speaker];
  return `${name}, ${how}`;
}

/** Whether its firmware is UEFI: by option 93, which BIOS ROMs send as 0 or leave out. */
export function isUefi({ facts }: TimelineEvent): boolean {
  return typeof facts.architecture === "number" && facts.architecture !== 0 && facts.architecture !== 41;
}

export function textFact(fact: string | number | boolean | undefined): string {
  return typeof fact === "string" ? fact : "";
}

export function numberFact(fact: string | number | boolean | undefined): number | null {
  return typeof fact === "number" ? fact : null;
}
