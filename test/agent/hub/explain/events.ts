/** Events of a made-up machine, as a site reports them; times in seconds from the story's beginning. */
import type { TimelineEvent } from "../../../../src/agent/hub/explain/timeline-event.ts";
import type { SilenceCause } from "../../../../src/dhcp/decide.ts";
import type { NothingToBoot } from "../../../../src/dhcp/reply.ts";
import type { DiskCause } from "../../../../src/pxe/boot-plan.ts";

/** Every word that a decision gives for the rules: one that is renamed there must be renamed here. */
export type Because = SilenceCause | NothingToBoot | DiskCause;

export const MAC = "52:54:00:00:00:07";
export const BEGIN = Date.parse("2026-03-01T12:00:00Z");

type Facts = TimelineEvent["facts"];

export function at(seconds: number): number {
  return BEGIN + Math.round(seconds * 1000);
}

export function event(seconds: number, kind: string, summary: string, facts: Facts = {}): TimelineEvent {
  return { at: at(seconds), kind, severity: "info", mac: MAC, summary, facts };
}

/** Of the site and of no machine. */
export function siteEvent(seconds: number, kind: string, summary: string, facts: Facts = {}): TimelineEvent {
  return { ...event(seconds, kind, summary, facts), mac: null, severity: "warning" };
}

const SPEAKERS = {
  bios: { architecture: 0, vendorClass: "PXEClient:Arch:00000:UNDI:002001" },
  uefi: { architecture: 7, vendorClass: "PXEClient:Arch:00007:UNDI:003016" },
  "arm32-uefi": { architecture: 10, vendorClass: "PXEClient:Arch:00010:UNDI:003016" },
  "uefi-http": { architecture: 16, vendorClass: "HTTPClient:Arch:00016:UNDI:003001" },
  ipxe: { architecture: 7, vendorClass: "PXEClient:Arch:00007:UNDI:003016", userClass: "iPXE" },
  system: { vendorClass: "udhcp 1.36.1" },
} satisfies Record<string, Facts>;

export type Who = keyof typeof SPEAKERS;

const FILES: Record<Who, string> = {
  bios: "undionly.kpxe",
  uefi: "snponly.efi",
  "arm32-uefi": "",
  "uefi-http": "http://10.0.0.1:8091/loaders/snponly.efi",
  ipxe: `http://10.0.0.1:8091/boot.ipxe?mac=${MAC}`,
  system: "",
};

interface Answer {
  readonly reason?: string;
  readonly file?: string;
  readonly state?: string;
  readonly by?: "dhcp" | "proxy";
  readonly because?: Because;
}

export function discover(seconds: number, who: Who, answer: Answer = {}): TimelineEvent {
  return exchange(seconds, who, "discover", "offer", answer);
}

export function request(seconds: number, who: Who, answer: Answer = {}): TimelineEvent {
  return exchange(seconds, who, "request", "ack", { state: "selecting", ...answer });
}

/** DISCOVER, OFFER, REQUEST, ACK. */
export function address(seconds: number, who: Who, answer: Answer = {}): TimelineEvent[] {
  return [discover(seconds, who, answer), request(seconds + 0.1, who, answer)];
}

export function refused(seconds: number, who: Who, reason: string): TimelineEvent {
  return exchange(seconds, who, "request", "nak", { state: "init-reboot", reason: `refused: ${reason}` });
}

export function unanswered(
  seconds: number,
  who: Who,
  asked: string,
  said: Pick<Answer, "reason" | "because">,
): TimelineEvent {
  return exchange(seconds, who, asked, "silent", said);
}

function exchange(seconds: number, who: Who, asked: string, answer: string, said: Answer): TimelineEvent {
  const { by = "dhcp", state, because, file = FILES[who] } = said;
  const given = by === "dhcp" && (answer === "offer" || answer === "ack");
  const boots = file === "" ? "not a network-boot client" : `${who}: ${file}`;
  const reason = said.reason ?? (given ? `10.0.0.7 for 12 h; ${boots}` : boots);
  return event(seconds, `${by}.${answer}`, `${asked.toUpperCase()}: ${reason}`, {
    asked,
    ...(state === undefined ? {} : { state }),
    ...SPEAKERS[who],
    interface: "lan0",
    ...(given ? { address: "10.0.0.7" } : {}),
    ...(answer === "offer" || answer === "ack" ? { file } : {}),
    ...(because === undefined ? {} : { because }),
  });
}

/** A transfer that came to `doneBytes` of `sizeBytes`. */
export function fetched(
  seconds: number,
  over: "tftp" | "http",
  file: string,
  sizeBytes: number,
  doneBytes = sizeBytes,
): TimelineEvent {
  const name = over === "tftp" ? { file } : { path: file };
  const facts = { ...name, sizeBytes, doneBytes, durationMs: 400 };
  if (doneBytes === sizeBytes)
    return event(seconds, `${over}.done`, `${file}: ${sizeBytes} bytes in 400 ms`, facts);
  return event(
    seconds,
    `${over}.failed`,
    `${file}: ${doneBytes} of ${sizeBytes} bytes, then no answer for 10 s`,
    facts,
  );
}

/** From power-on to the ramdisk's kernel and ramdisk in memory, in 9 s. */
export function ramdiskBoot(): TimelineEvent[] {
  return [
    ...address(0, "uefi"),
    fetched(1, "tftp", "snponly.efi", 173_792),
    ...address(4, "ipxe"),
    event(5, "script.ramdisk", "boots the ramdisk: install of app:v2 is ordered"),
    fetched(6, "http", "/ramdisk/vmlinuz", 8_247_232),
    fetched(9, "http", "/ramdisk/initrd.img", 45_395_843),
  ];
}
