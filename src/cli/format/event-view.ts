/** Events as one line each, the way a timeline is read. */
import type { Event } from "../../api/wire.ts";
import type { Column, Tone } from "./table.ts";
import { formatTime } from "./words.ts";

export const eventColumns: Column<Event>[] = [
  { title: "TIME", cell: event => formatTime(event.at), dropFirst: 1 },
  { title: "KIND", cell: event => event.kind, dropFirst: 2, tone: eventTone },
  { title: "WHAT HAPPENED", cell: event => event.summary, shrinkTo: 36 },
];

/** "2026-03-01 12:00:07Z  dhcp.offer         offered 10.0.0.7 …"; alarms and warnings say so in words. */
export function eventLine(event: Event): string {
  const severity = event.severity === "info" ? "" : `${event.severity.toUpperCase()}: `;
  return `${formatTime(event.at)}  ${event.kind.padEnd(20)}  ${severity}${event.summary}`;
}

export function eventTone(event: Event): Tone {
  if (event.severity === "alarm") return "bad";
  return event.severity === "warning" ? "busy" : "plain";
}
