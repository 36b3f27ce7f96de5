/**
 * Where in a machine's timeline one boot ends and the next begins. A boot is a power-on: firmware asks for an address, perhaps
 * several times, then each program asks again for itself. Nothing says "I was switched on", so it is told by who speaks after
 * whom.
 */
import { advance, type BootProgress, NO_PROGRESS } from "./boot-progress.ts";
import { isAddressEvent, type Speaker, speakerOf, type TimelineEvent } from "./timeline-event.ts";

/** Firmware that gets no answer asks again at 4, 8, 16 and 32 s (Intel PXE 2.1 §2.2.4), and then tries its next entry. */
const RETRIES_LAST_MS = 120_000;
/** Loading a ramdisk over a slow line and starting it takes minutes, and leaves no packet of DHCP. */
const NEXT_PROGRAM_WITHIN_MS = 900_000;

export interface Boot {
  readonly events: readonly TimelineEvent[];
  readonly progress: BootProgress;
}

/** @param events oldest first @returns oldest boot first */
export function splitBoots(events: readonly TimelineEvent[]): Boot[] {
  const boots: { events: TimelineEvent[]; progress: BootProgress }[] = [];
  for (const event of events) {
    const current = boots.at(-1);
    if (current === undefined || beginsBoot(current.progress, event)) {
      boots.push({ events: [event], progress: advance(NO_PROGRESS, event) });
      continue;
    }
    current.events.push(event);
    current.progress = advance(current.progress, event);
  }
  return boots;
}

function beginsBoot(progress: BootProgress, event: TimelineEvent): boolean {
  if (!asksAnew(event)) return false;
  const sinceMs = event.at - progress.lastAt;
  const speaker = speakerOf(event);
  if (RANK[speaker] > furthest(progress)) return sinceMs > NEXT_PROGRAM_WITHIN_MS;
  // The same program asks again: firmware that was not answered does, also by its next card.
  if (RANK[speaker] === furthest(progress)) return sinceMs > RETRIES_LAST_MS;
  return true;
}

/** What a program that has just started says; renewals come from one that runs. */
function asksAnew(event: TimelineEvent): boolean {
  const { asked, state } = event.facts;
  return isAddressEvent(event) && (asked === "discover" || state === "init-reboot");
}

/** Programs of a boot in the order in which they start. UEFI tries PXE, then HTTP, without being switched off. */
const RANK: Readonly<Record<Speaker, number>> = { pxe: 1, "uefi-http": 2, ipxe: 4, system: 6 };

/** The rank of the latest thing that has happened: whoever is below it and asks has been started anew. */
function furthest({
  talks,
  loader,
  grub,
  script,
  kernel,
  registeredAt,
  install,
  booted,
}: BootProgress): number {
  if (registeredAt !== null || install !== null || booted !== null) return 7;
  if (kernel !== null || script !== null) return 5;
  const spoken = Math.max(0, ...talks.map(talk => RANK[talk.speaker]));
  return Math.max(spoken, loader?.state === "done" || grub !== null ? 3 : 0);
}
