/**
 * A machine's events as boots: what happened in each, how far it came, what it means that it went no further, and what to do
 * next. Where nothing was heard, the silence is explained. Knows no store: events come in as they were kept.
 */
import type { EpochMs } from "../../../core/time.ts";
import type { BootProgress } from "./boot-progress.ts";
import { BOOT_RULES } from "./boot-rules.ts";
import { type BootStage, bootStages } from "./boot-stages.ts";
import { explainSilence, type SiteListening, type UnknownMachine } from "./explain-silence.ts";
import { type BootSurroundings, seenOf } from "./rules/rule.ts";
import { type Boot, splitBoots } from "./split-boots.ts";
import { describeSpeaker, isAddressEvent, type TimelineEvent, textFact } from "./timeline-event.ts";
import { type TimelineLine, timelineLines } from "./timeline-line.ts";
import type { Verdict } from "./verdict.ts";

export interface ExplainInput {
  readonly mac: string;
  /** Of the machine, whichever of its addresses they name; oldest first. */
  readonly events: readonly TimelineEvent[];
  /** Of its site and of no machine: another DHCP server, a lost interface, an empty pool; oldest first. */
  readonly siteEvents: readonly TimelineEvent[];
  /** "healthy"; null: the fleet does not know the machine. */
  readonly machineState: string | null;
  readonly listening: readonly SiteListening[];
  readonly unknownMachines: readonly UnknownMachine[];
  /** The newest boots; at least 1. */
  readonly maxBoots: number;
  readonly now: EpochMs;
}

export interface ExplainedBoot {
  readonly startedAt: EpochMs;
  readonly lastAt: EpochMs;
  /** The card that asked; null where no packet names one. */
  readonly mac: string | null;
  /** What we took it for, in the order in which its programs spoke: "x64 UEFI, PXE", "x64 UEFI, iPXE". */
  readonly clients: readonly string[];
  readonly interfaceName: string | null;
  readonly stages: readonly BootStage[];
  readonly lines: readonly TimelineLine[];
  readonly verdict: Verdict & { readonly rule: string; readonly silentMs: number | null };
}

export interface BootExplanation {
  /** Oldest first. */
  readonly boots: readonly ExplainedBoot[];
  /** How many older boots are known and not shown. */
  readonly olderBoots: number;
  /** Set where there is no boot at all. */
  readonly silence: Verdict | null;
}

export function explainBoot(input: ExplainInput): BootExplanation {
  const { events, maxBoots } = input;
  const all = splitBoots(withoutOperators(events));
  const shown = all.slice(-maxBoots);
  if (shown.length === 0) {
    const troubles = newestOfEach(input.siteEvents).map(({ summary }) => summary);
    return { boots: [], olderBoots: 0, silence: explainSilence({ ...input, troubles }) };
  }
  const boots = shown.map((boot, index) => explainOne(boot, shown[index + 1], input));
  return { boots, olderBoots: all.length - shown.length, silence: null };
}

/** What people did stands in `drp why`; here are packets, and what the machine said. */
function withoutOperators(events: readonly TimelineEvent[]): TimelineEvent[] {
  const own =
    /^(dhcp|proxy|tftp|http|script|install|token)\.|^machine\.(registered|booted|healthy|unhealthy|quarantined)$/;
  return events.filter(({ kind, facts }) => own.test(kind) && facts.by === undefined);
}

function explainOne({ events, progress }: Boot, next: Boot | undefined, input: ExplainInput): ExplainedBoot {
  const startedAt = events[0]?.at ?? 0;
  const nextBootAt = next?.events[0]?.at ?? null;
  const around: BootSurroundings = {
    otherServers: serversIn(input.siteEvents.filter(({ at }) => at >= startedAt - DAY_MS)),
    nextBootAt,
    machineState: input.machineState,
  };
  const asked = events.filter(isAddressEvent);
  const interfaceName = textFact(asked.at(-1)?.facts.interface) || null;
  const meanwhile = input.siteEvents.filter(
    event =>
      event.at >= startedAt - NEAR_MS &&
      event.at <= progress.lastAt + NEAR_MS &&
      concerns(event, interfaceName, progress),
  );
  const lines = [...events, ...newestOfEach(meanwhile)].toSorted((a, b) => a.at - b.at);
  return {
    startedAt,
    lastAt: progress.lastAt,
    mac: asked.find(({ mac }) => mac !== null)?.mac ?? null,
    clients: [...new Set(asked.map(describeSpeaker))],
    interfaceName,
    stages: bootStages(progress),
    lines: timelineLines(lines),
    verdict: judge(progress, around, input.now),
  };
}

/** What went wrong at the site shortly before or after belongs to the story. */
const NEAR_MS = 120_000;
const DAY_MS = 86_400_000;

function judge(progress: BootProgress, around: BootSurroundings, now: EpochMs): ExplainedBoot["verdict"] {
  const seen = seenOf(progress, around);
  const rule = BOOT_RULES.find(({ fits }) => fits(seen));
  if (rule === undefined) throw new RangeError("the last rule fits everything");
  const silentMs = around.nextBootAt === null ? Math.max(0, now - progress.lastAt) : null;
  const said = { rule: rule.name, silentMs, last: rule.last(seen) };
  if (rule.waitSeconds > 0 && silentMs !== null && silentMs < rule.waitSeconds * 1000) {
    return { ...said, tone: "busy", meaning: "it may still be at it: give it a moment", advice: [] };
  }
  return { ...said, tone: rule.tone, meaning: rule.meaning?.(seen) ?? "", advice: rule.advice?.(seen) ?? [] };
}

function concerns(
  { kind, facts }: TimelineEvent,
  interfaceName: string | null,
  progress: BootProgress,
): boolean {
  const elsewhere =
    facts.interface !== undefined && interfaceName !== null && facts.interface !== interfaceName;
  const gotAddress = progress.talks.some(({ grantedAt }) => grantedAt !== null);
  return !elsewhere && !(gotAddress && kind === "dhcp.pool-empty");
}

function serversIn(events: readonly TimelineEvent[]): string[] {
  const servers = events
    .filter(({ kind }) => kind === "dhcp.other-server")
    .map(
      ({ facts }) =>
        `${textFact(facts.server)}${facts.interface === undefined ? "" : ` on ${facts.interface}`}`,
    );
  return [...new Set(servers)];
}

function newestOfEach(events: readonly TimelineEvent[]): TimelineEvent[] {
  return [
    ...new Map(
      events.map(event => [`${event.kind} ${event.facts.server ?? event.facts.network ?? ""}`, event]),
    ).values(),
  ];
}
