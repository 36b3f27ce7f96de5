/**
 * How far one boot came: its events in their order, folded into what each stage has shown so far. Judges nothing: what a
 * stage that is missing means is for the rules to say.
 */
import type { EpochMs } from "../../../core/time.ts";
import {
  isAddressEvent,
  isUefi,
  numberFact,
  type Speaker,
  speakerOf,
  type TimelineEvent,
  textFact,
} from "./timeline-event.ts";

/** A file on its way to the machine. */
export interface Transfer {
  readonly file: string;
  readonly over: "TFTP" | "HTTP";
  /** "asked": its size was asked for, and no byte so far. */
  readonly state: "asked" | "going" | "done" | "failed" | "missing";
  readonly doneBytes: number | null;
  readonly sizeBytes: number | null;
  readonly at: EpochMs;
  readonly summary: string;
}

/** What one speaker (firmware, iPXE, a system) got when it asked for an address. */
export interface AddressTalk {
  readonly speaker: Speaker;
  readonly isUefi: boolean;
  readonly asked: number;
  /** Where another server gives the addresses, we only ever offer what to boot. */
  readonly byProxy: boolean;
  readonly offeredAt: EpochMs | null;
  readonly grantedAt: EpochMs | null;
  readonly address: string;
  /** The boot file or URL of our last answer; empty for none. */
  readonly file: string;
  /** The last answer was a refusal (NAK), or there was none: why. */
  readonly refused: string | null;
  readonly silence: string | null;
  /** Why there was no answer, or nothing to boot in it: a word for the rules; empty for none. */
  readonly because: string;
  readonly lastSummary: string;
  readonly at: EpochMs;
}

export interface ScriptSeen {
  /** "ramdisk", "disk", "refused" */
  readonly says: string;
  /** Why, as a word for the rules: "order-spent"; empty for none. */
  readonly because: string;
  readonly summary: string;
  readonly at: EpochMs;
}

export interface BootProgress {
  /** In the order in which they first spoke; a speaker that asks again goes on with its talk. */
  readonly talks: readonly AddressTalk[];
  /** We had an answer and could not give it: the disk, or the network. */
  readonly unsent: { readonly summary: string; readonly at: EpochMs } | null;
  readonly loader: Transfer | null;
  /** What Debian's shim loads after itself. */
  readonly grub: Transfer | null;
  readonly script: ScriptSeen | null;
  readonly kernel: Transfer | null;
  readonly ramdisk: Transfer | null;
  readonly registeredAt: EpochMs | null;
  /** The last of install.*, with its kind's last word: "writing", "written", "failed". */
  readonly install: { readonly phase: string; readonly summary: string; readonly at: EpochMs } | null;
  /** Its installed system reported. */
  readonly booted: { readonly summary: string; readonly at: EpochMs } | null;
  readonly lastAt: EpochMs;
}

export const NO_PROGRESS: BootProgress = {
  talks: [],
  unsent: null,
  loader: null,
  grub: null,
  script: null,
  kernel: null,
  ramdisk: null,
  registeredAt: null,
  install: null,
  booted: null,
  lastAt: 0,
};

export function advance(progress: BootProgress, event: TimelineEvent): BootProgress {
  return { ...step(progress, event), lastAt: event.at };
}

function step(progress: BootProgress, event: TimelineEvent): BootProgress {
  const { kind, at, summary, facts } = event;
  if (isAddressEvent(event)) return { ...progress, talks: addToTalks(progress.talks, event) };
  const [group = "", what = ""] = kind.split(".");
  if (kind === "dhcp.failed" || kind === "proxy.failed") return { ...progress, unsent: { summary, at } };
  switch (group) {
    case "tftp":
    case "http":
      return addTransfer(progress, event, group === "tftp" ? "TFTP" : "HTTP", what);
    case "script":
      return { ...progress, script: { says: what, because: textFact(facts.because), summary, at } };
    case "install":
      return { ...progress, install: { phase: what, summary, at } };
  }
  if (kind === "machine.registered") return { ...progress, registeredAt: at };
  if (kind === "machine.booted" || kind === "machine.healthy")
    return { ...progress, booted: { summary, at } };
  return progress;
}

function addToTalks(talks: readonly AddressTalk[], event: TimelineEvent): AddressTalk[] {
  const { kind, at, facts, summary } = event;
  const speaker = speakerOf(event);
  const before = talks.find(talk => talk.speaker === speaker);
  const answer = kind.slice(kind.indexOf(".") + 1);
  const byProxy = kind.startsWith("proxy.");
  const reason = summary.replace(/^\w+: /, "");
  const file = textFact(facts.file);
  const talk: AddressTalk = {
    speaker,
    isUefi: (before?.isUefi ?? false) || isUefi(event),
    asked: (before?.asked ?? 0) + 1,
    byProxy: byProxy || (before?.byProxy ?? false),
    offeredAt: answer === "offer" ? at : (before?.offeredAt ?? null),
    grantedAt: answer === "ack" && facts.asked !== "inform" ? at : (before?.grantedAt ?? null),
    address: textFact(facts.address) || (before?.address ?? ""),
    file: answer === "offer" || answer === "ack" ? file : (before?.file ?? ""),
    refused: answer === "nak" ? reason.replace(/^refused: /, "") : null,
    silence: answer === "silent" ? reason : null,
    because: textFact(facts.because),
    lastSummary: summary,
    at,
  };
  return before === undefined ? [...talks, talk] : talks.map(other => (other === before ? talk : other));
}

type FileRole = "loader" | "grub" | "kernel" | "ramdisk";

/** Undefined for what is fetched beside them: scripts, GRUB's modules and lists, image chunks. */
export function roleOfFile(file: string): FileRole | undefined {
  const name = file.slice(file.lastIndexOf("/") + 1);
  if (/^vmlinuz/.test(name)) return "kernel";
  if (/^(initrd|ramdisk)/.test(name)) return "ramdisk";
  if (/^grub(x64|aa64)\.efi$/.test(name)) return "grub";
  if (name === "local-boot.efi") return undefined;
  return /\.(efi|kpxe|pxe|0)$/.test(name) && !/^revocations/.test(name) ? "loader" : undefined;
}

const TRANSFER_STATES: Readonly<Record<string, Transfer["state"]>> = {
  size: "asked",
  start: "going",
  done: "done",
  failed: "failed",
  refused: "failed",
  missing: "missing",
};

function addTransfer(
  progress: BootProgress,
  { at, facts, summary }: TimelineEvent,
  over: Transfer["over"],
  what: string,
): BootProgress {
  const file = textFact(facts.file) || textFact(facts.path);
  const role = roleOfFile(file);
  const state = TRANSFER_STATES[what];
  if (role === undefined || state === undefined) return progress;
  const before = progress[role];
  // A file that was fetched whole is there, whatever is asked about it later.
  if (before?.state === "done" && before.file === file && state !== "done") return progress;
  const transfer: Transfer = {
    file,
    over,
    state,
    doneBytes:
      state === "done"
        ? (numberFact(facts.sizeBytes) ?? before?.sizeBytes ?? null)
        : numberFact(facts.doneBytes),
    sizeBytes: numberFact(facts.sizeBytes) ?? before?.sizeBytes ?? null,
    at,
    summary,
  };
  return { ...progress, [role]: transfer };
}

/** 0 … 100; undefined where no size is known. A file that is not whole is never at 100. */
export function percentOf({ doneBytes, sizeBytes, state }: Transfer): number | undefined {
  if (state === "done") return 100;
  if (doneBytes === null || sizeBytes === null || sizeBytes === 0) return undefined;
  return Math.min(99, Math.floor((100 * doneBytes) / sizeBytes));
}
