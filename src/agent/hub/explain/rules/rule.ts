/** What a rule about the end of a boot is, what it sees, and the words that several of them share. */
import type { EpochMs } from "../../../../core/time.ts";
import { type AddressTalk, type BootProgress, percentOf, type Transfer } from "../boot-progress.ts";
import type { Verdict } from "../verdict.ts";

/** What a rule sees beside the boot itself. */
export interface BootSurroundings {
  /** Other DHCP servers that were seen at this site: "10.0.0.9 on lan0". */
  readonly otherServers: readonly string[];
  /** When the machine began to boot again; null: it has not. */
  readonly nextBootAt: EpochMs | null;
  /** "healthy", "assigned": of the machine's record; null: the fleet does not know it. */
  readonly machineState: string | null;
}

/** A boot at a place where it may stop. */
export interface Seen extends BootProgress {
  /** Who spoke last; absent where only files were asked for. */
  readonly talk: AddressTalk | undefined;
  readonly around: BootSurroundings;
}

export interface Rule {
  /** For tests and for programs: stable. */
  readonly name: string;
  readonly fits: (seen: Seen) => boolean;
  /** What follows comes within this time, where all is well; 0: nothing need follow. */
  readonly waitSeconds: number;
  readonly tone: Verdict["tone"];
  readonly last: (seen: Seen) => string;
  readonly meaning?: (seen: Seen) => string;
  readonly advice?: (seen: Seen) => readonly string[];
}

export const AT_CONSOLE = "Look at the machine's screen or serial console.";
// Ports by the names of their settings: the hub does not know the numbers that another site has.
export const BOOT_PORT =
  "Let the machine reach this site's boot HTTP (tcp, boot.port of drp.yaml): firewall, VLAN, routes.";
export const MACHINE_PORT =
  "Let the machine reach this site's machine channel (tcp, machineChannel.port of drp.yaml).";
export const TFTP_PORT =
  "Let the machine reach this site's TFTP (udp, tftp.port of drp.yaml), and the high ports that transfers answer from. Firewalls that track TFTP need their helper.";

export function seenOf(progress: BootProgress, around: BootSurroundings): Seen {
  return { ...progress, around, talk: progress.talks.toSorted((a, b) => a.at - b.at).at(-1) };
}

export function isStuck(transfer: Transfer | null): boolean {
  return (
    transfer !== null &&
    transfer.state !== "done" &&
    transfer.state !== "asked" &&
    transfer.state !== "missing"
  );
}

export function isShim(loader: Transfer | null): boolean {
  return loader !== null && /shim(x64|aa64)\.efi/.test(loader.file);
}

export function brokenOff(transfer: Transfer | null): string {
  if (transfer === null) return "";
  const percent = percentOf(transfer);
  const { file, over, state } = transfer;
  const where = percent === undefined ? "" : ` at ${percent} %`;
  return state === "going"
    ? `${over} of ${file} began, and nothing was heard of it since`
    : `${over} of ${file} broke off${where}: ${afterColon(transfer.summary)}`;
}

export function meaningOfBrokenOff(transfer: Transfer): string {
  const percent = percentOf(transfer) ?? 0;
  if (percent === 0)
    return "the first packets are lost: a firewall, or frames that are too large for a link on the way";
  return transfer.over === "TFTP"
    ? "packets are lost on the way (a bad cable or port, a duplex mismatch), or the machine gave up or was switched off"
    : "the connection was cut: a bad cable or port, a firewall with short time-outs, or the machine was switched off";
}

export function adviceOnBrokenOff({ over }: Transfer): string[] {
  return [
    ...(over === "TFTP" ? [TFTP_PORT] : [BOOT_PORT]),
    "Look at the switch port's error counters; try another cable.",
    AT_CONSOLE,
  ];
}

const ADVICE_ON_NOTHING: ReadonlyMap<string, readonly string[]> = new Map([
  [
    "unknown-machine",
    [
      "Enter it: drp machines create NAME --mac MAC",
      "Or let the site discover unknown machines: drp sites update SITE --unknown discover",
    ],
  ],
  ["no-loader", ["There is no loader for this kind of firmware here: see docs/booting.md."]],
  ["unknown-firmware", ["Choose another boot mode in its firmware: BIOS, x64 UEFI or arm64 UEFI."]],
  ["pxe-only", ["Choose PXE (IPv4) in its firmware instead of HTTP boot."]],
]);

export function adviceOnNothing(talk: AddressTalk | undefined): readonly string[] {
  return ADVICE_ON_NOTHING.get(talk?.because ?? "") ?? ["See what it should run: drp why MACHINE"];
}

/** "PXE client, arm32-uefi (architecture 10); no loader for it here", of "REQUEST: 10.0.0.7 for 12 h; …" */
export function reasonOf(talk: AddressTalk | undefined): string {
  const [, ...rest] = (talk?.lastSummary ?? "").split("; ");
  return rest.join("; ") || afterColon(talk?.lastSummary);
}

export function afterColon(text: string | null = ""): string {
  if (text === null) return "";
  const colon = text.indexOf(": ");
  return colon < 0 ? text : text.slice(colon + 2);
}

export function given(talk: AddressTalk | undefined): string {
  return talk === undefined || talk.grantedAt === null ? "" : ` and got ${talk.address}`;
}

export function times(talk: AddressTalk | undefined): string {
  const asked = talk?.asked ?? 0;
  return asked === 1 ? "once" : asked === 2 ? "twice" : `${asked} times`;
}

export function others({ otherServers }: BootSurroundings): string[] {
  if (otherServers.length === 0) return ["Look for other DHCP servers on its network: drp doctor"];
  return [
    `Another DHCP server answers here (${otherServers.join(", ")}): keep one, or set dhcp.mode: proxy.`,
  ];
}

export function startsAgainWithin({ nextBootAt }: BootSurroundings, from: EpochMs, seconds: number): boolean {
  return nextBootAt !== null && nextBootAt - from <= seconds * 1000;
}
