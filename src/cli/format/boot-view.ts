/** `drp boot explain`: one block a boot, from what came first to what it means that nothing came after. */
import type { BootExplanation, ExplainedBoot } from "../../api/wire.ts";
import { type EpochMs, formatDuration } from "../../core/time.ts";
import { type Paint, printable, type Tone } from "./table.ts";
import { formatAge, formatTime } from "./words.ts";
import { wrap } from "./wrap.ts";

export interface BootViewOptions {
  readonly now: EpochMs;
  /** Of the terminal; Infinity where there is none. */
  readonly widthColumns: number;
  readonly paint: Paint;
}

type Line = ExplainedBoot["lines"][number];
type Verdict = NonNullable<BootExplanation["silence"]>;

/** @returns lines, each ended by a newline */
export function renderBootExplanation(explanation: BootExplanation, options: BootViewOptions): string {
  const { paint } = options;
  const { boots, olderBoots, silence } = explanation;
  const blocks = [
    paint("title", printable(describeMachine(explanation))),
    ...(olderBoots === 0
      ? []
      : [paint("quiet", `${olderBoots} older boot${olderBoots === 1 ? "" : "s"}: --boots shows more`)]),
    ...boots.map((boot, index) => renderBoot(boot, boots[index + 1], explanation.mac, options)),
    ...(silence === null ? [] : [renderVerdict(silence, "", options)]),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function describeMachine({ mac, machine, siteName }: BootExplanation): string {
  const site = siteName === null ? "" : ` at site ${siteName}`;
  return machine === null
    ? `${mac}${site}, not entered in the fleet`
    : `${machine.name} (${mac})${site}, ${machine.state}`;
}

function renderBoot(
  boot: ExplainedBoot,
  next: ExplainedBoot | undefined,
  mac: string,
  options: BootViewOptions,
): string {
  const { now, paint } = options;
  const card = boot.mac === null || boot.mac === mac ? "" : `, card ${boot.mac}`;
  const on = boot.interfaceName === null ? "" : `, on ${boot.interfaceName}`;
  const who = boot.clients.length === 0 ? "" : `  ${boot.clients.join(", then ")}`;
  const head = paint("title", printable(`${formatTime(boot.startedAt)}${who}${on}${card}`));
  const stages = boot.stages.map(({ name, state, note }) =>
    paint(STAGE_TONES[state], printable(`${STAGE_MARKS[state]} ${name}${note === "" ? "" : ` ${note}`}`)),
  );
  const when =
    next === undefined
      ? formatAge(boot.lastAt, now)
      : `it began to boot again ${formatDuration(next.startedAt - boot.lastAt)} later`;
  return [
    `${head}\n${stages.join(paint("quiet", "  "))}`,
    renderLines(boot.lines, boot.startedAt, options),
    renderVerdict(boot.verdict, ` (${when})`, options),
  ].join("\n\n");
}

const STAGE_MARKS = { done: "✓", going: "…", failed: "✗", open: "○" } as const;
const STAGE_TONES = { done: "good", going: "busy", failed: "bad", open: "quiet" } as const;

const TIME_WIDTH = 11;
const MAX_TITLE_WIDTH = 30;
const GAP = "  ";

function renderLines(
  lines: readonly Line[],
  startedAt: EpochMs,
  { widthColumns, paint }: BootViewOptions,
): string {
  const titleWidth = Math.min(MAX_TITLE_WIDTH, Math.max(...lines.map(line => line.title.length)));
  const indent = TIME_WIDTH + GAP.length + titleWidth + GAP.length;
  return lines
    .map(line => {
      const time = paint("quiet", sinceStart(line.at - startedAt).padStart(TIME_WIDTH));
      const title = paint(LINE_TONES[line.tone], printable(line.title).padEnd(titleWidth));
      const [first = "", ...rest] = wrap(printable(line.text) + repeats(line), widthColumns - indent);
      const body = [first, ...rest.map(text => " ".repeat(indent) + text)].join("\n");
      return `${time}${GAP}${title}${GAP}${line.tone === "quiet" ? paint("quiet", body) : body}`;
    })
    .join("\n");
}

const LINE_TONES: Readonly<Record<Line["tone"], Tone>> = {
  good: "good",
  plain: "plain",
  quiet: "quiet",
  bad: "bad",
};

function repeats({ times, at, untilAt }: Line): string {
  return times === 1 ? "" : ` (${times} times in ${formatDuration(untilAt - at)})`;
}

/** "0.0 s", "7.1 s", "4 min 10 s"; events of the site may stand before the boot. */
function sinceStart(durationMs: number): string {
  const sign = durationMs < 0 ? "-" : "+";
  const ms = Math.abs(durationMs);
  return `${sign}${ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms)}`;
}

const VERDICT_MARKS: Readonly<Record<Verdict["tone"], string>> = {
  good: "✓",
  busy: "…",
  bad: "✗",
  quiet: "○",
};
/** A sentence in full width is hard to read on a wide screen. */
const MAX_SENTENCE_WIDTH = 110;

function renderVerdict(verdict: Verdict, when: string, { widthColumns, paint }: BootViewOptions): string {
  const width = Math.min(widthColumns, MAX_SENTENCE_WIDTH) - 4;
  const paragraph = (mark: string, text: string) =>
    wrap(printable(text), width)
      .map((line, index) => `${index === 0 ? mark : " ".repeat(mark.length)} ${line}`)
      .join("\n");
  return [
    paint(verdict.tone, paragraph(VERDICT_MARKS[verdict.tone], `${verdict.last}${when}`)),
    ...(verdict.meaning === ""
      ? []
      : [paragraph(" ", `${verdict.tone === "bad" ? "likely: " : ""}${verdict.meaning}`)]),
    ...verdict.advice.map(advice => paragraph("  →", advice)),
  ].join("\n");
}
