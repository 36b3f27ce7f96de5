/** Events as lines of a boot's timeline: who said what, what was decided and why, how far a file came. Repetitions are one line. */
import type { EpochMs } from "../../../core/time.ts";
import { formatDuration } from "../../../core/time.ts";
import { numberFact, type TimelineEvent, textFact } from "./timeline-event.ts";

export interface TimelineLine {
  readonly at: EpochMs;
  readonly kind: string;
  /** A few words: "DISCOVER → OFFER", "TFTP ipxe.efi", "script: ramdisk". */
  readonly title: string;
  /** The decision and its reason, or how far it came. */
  readonly text: string;
  readonly tone: "good" | "plain" | "quiet" | "bad";
  /** The same thing happened this often, the last time at `untilAt`. */
  readonly times: number;
  readonly untilAt: EpochMs;
}

/** @param events of one boot, oldest first */
export function timelineLines(events: readonly TimelineEvent[]): TimelineLine[] {
  const lines: TimelineLine[] = [];
  for (const [index, event] of events.entries()) {
    if (isTold(event, events.slice(index + 1))) continue;
    const line = lineOf(event);
    const last = lines.at(-1);
    if (last !== undefined && last.title === line.title && sameText(last.text, line.text)) {
      lines[lines.length - 1] = {
        ...last,
        times: last.times + line.times,
        untilAt: event.at,
        text: line.text,
      };
    } else lines.push(line);
  }
  return lines;
}

/** How a transfer ended says that it began. */
function isTold(event: TimelineEvent, later: readonly TimelineEvent[]): boolean {
  if (event.kind !== "tftp.start") return false;
  const next = later.find(({ kind, facts }) => kind.startsWith("tftp.") && facts.file === event.facts.file);
  return next !== undefined && next.kind !== "tftp.start";
}

function sameText(a: string, b: string): boolean {
  return a.replaceAll(/\d+/g, "#") === b.replaceAll(/\d+/g, "#");
}

function lineOf(event: TimelineEvent): TimelineLine {
  const { at, kind, facts } = event;
  const leftOut = numberFact(facts.leftOut) ?? 0;
  return { at, kind, ...wordsOf(event), tone: toneOf(event), times: 1 + leftOut, untilAt: at };
}

function wordsOf(event: TimelineEvent): Pick<TimelineLine, "title" | "text"> {
  const { kind, summary, facts } = event;
  const [group = "", what = ""] = kind.split(".");
  switch (group) {
    case "dhcp":
    case "proxy":
      if (/^(offer|ack|nak|silent)$/.test(what)) return exchangeWords(event, group, what);
      return {
        title: kind === "dhcp.other-server" ? "other server" : `DHCP ${what.replaceAll("-", " ")}`,
        text: summary,
      };
    case "tftp":
    case "http": {
      const file = textFact(facts.file) || textFact(facts.path);
      const title = `${group.toUpperCase()} ${file.slice(file.lastIndexOf("/") + 1) || what}`;
      return { title, text: transferText(event, what) };
    }
    case "script":
      return { title: `script: ${what}`, text: summary };
    case "install":
      return { title: `install: ${what}`, text: summary };
    case "machine":
      return { title: what, text: summary };
    default:
      return { title: kind, text: summary };
  }
}

function exchangeWords({ summary, facts }: TimelineEvent, group: string, what: string) {
  const asked = textFact(facts.asked).toUpperCase() || "message";
  const state = facts.state === undefined || facts.state === "selecting" ? "" : ` (${facts.state})`;
  const proxy = group === "proxy" ? "proxy " : "";
  const answer = what === "silent" ? "no answer" : `${proxy}${what.toUpperCase()}`;
  const details = [
    summary.replace(/^\w+: /, ""),
    ...(facts.relay === undefined ? [] : [`by relay ${facts.relay}`]),
    ...(facts.circuit === undefined ? [] : [`circuit ${facts.circuit}`]),
    ...(facts.probed === undefined ? [] : [`probed: ${facts.probed}`]),
  ];
  return { title: `${asked}${state} → ${answer}`, text: details.join("; ") };
}

function transferText({ summary, facts }: TimelineEvent, what: string): string {
  const sizeBytes = numberFact(facts.sizeBytes);
  const doneBytes = numberFact(facts.doneBytes);
  if (what === "size" && sizeBytes !== null) {
    return `asked how large it is: ${sizeBytes.toLocaleString("en")} bytes`;
  }
  if (what === "failed" && sizeBytes !== null && doneBytes !== null && sizeBytes > 0) {
    const percent = Math.min(99, Math.floor((100 * doneBytes) / sizeBytes));
    return `broken off at ${percent} %: ${summary.replace(/^\S+: /, "")}`;
  }
  if (what !== "done" || sizeBytes === null) return summary;
  const durationMs = numberFact(facts.durationMs);
  const blockBytes = numberFact(facts.blockBytes);
  const windowBlocks = numberFact(facts.windowBlocks) ?? 1;
  const resent = numberFact(facts.resentBlocks) ?? 0;
  const parts = [
    `whole: ${sizeBytes.toLocaleString("en")} bytes${durationMs === null ? "" : ` in ${briefly(durationMs)}`}`,
    ...(blockBytes === null
      ? []
      : [`blocks of ${blockBytes}${windowBlocks > 1 ? `, ${windowBlocks} at a time` : ""}`]),
    ...(resent === 0 ? [] : [`${resent} sent again`]),
  ];
  return parts.join("; ");
}

/** "0.4 s" */
function briefly(durationMs: number): string {
  return durationMs < 10_000
    ? `${(durationMs / 1000).toFixed(durationMs < 100 ? 2 : 1)} s`
    : formatDuration(durationMs);
}

const GOOD =
  /^(dhcp\.ack|proxy\.ack|tftp\.done|http\.done|machine\.(registered|booted|healthy)|install\.written)$/;
const BAD =
  /^(dhcp\.(nak|silent|failed|malformed|conflict|other-server|interface-lost|pool-empty)|proxy\.failed|(tftp|http)\.(failed|refused|missing|crowded)|script\.refused|install\.failed)$/;

function toneOf({ kind, severity, facts }: TimelineEvent): TimelineLine["tone"] {
  if (severity !== "info") return "bad";
  // A RELEASE and its like want no answer.
  if (kind === "dhcp.silent" && /^(release|decline|inform)$/.test(textFact(facts.asked))) return "quiet";
  // Firmware looks for files that need not exist.
  if (kind === "tftp.missing") return "quiet";
  if (BAD.test(kind)) return "bad";
  if (GOOD.test(kind)) return "good";
  return kind === "proxy.silent" ? "quiet" : "plain";
}
