/**
 * Keeps a machine that repeats itself, or a stranger who floods, from filling the timeline: a few events of a kind pass at
 * once, then one a while, which carries the count of those that were left out. Memory is bounded.
 */
import type { EpochMs } from "../core/time.ts";
import type { BootEvent } from "../dhcp/boot-event.ts";

/** A boot makes about six events of a kind within a minute. */
const BURST = 10;
const WINDOW_MS = 60_000;
/** Five hundred machines that power on together; a stranger with as many names gets no more. */
const MAX_IN_WINDOW = 3000;
/** Machines times kinds of event; the ones that were quiet longest are forgotten first. */
const MAX_SOURCES = 8192;

interface Window {
  startedAt: EpochMs;
  passed: number;
  leftOut: number;
}

export class EventLimiter {
  private readonly windows = new Map<string, Window>();
  private total: Window = { startedAt: 0, passed: 0, leftOut: 0 };

  /**
   * @param source whose event it is: a MAC address, or one word for all strangers
   * @returns the event, with `leftOut` among its facts if some were; undefined to drop it
   */
  admit(source: string, event: BootEvent, now: EpochMs): BootEvent | undefined {
    return this.admitKind(source, event.kind, () => event, now);
  }

  /** The same for an event that is not made yet: under load nearly all of them would be made in vain. */
  admitKind(source: string, kind: string, describe: () => BootEvent, now: EpochMs): BootEvent | undefined {
    const leftOut = this.count(source, kind, now);
    if (leftOut === undefined) return undefined;
    const event = describe();
    return leftOut === 0 ? event : { ...event, facts: { ...event.facts, leftOut } };
  }

  /** @returns how many were left out before this one; undefined to leave it out too */
  private count(source: string, kind: string, now: EpochMs): number | undefined {
    const key = `${source} ${kind}`;
    const known = this.windows.get(key);
    this.total = current(this.total, now);
    if (this.total.passed >= MAX_IN_WINDOW) {
      // A flood of new names is not remembered: it would cost more than it tells.
      if (known !== undefined) known.leftOut++;
      return undefined;
    }
    const window = current(known, now);
    this.remember(key, window);
    if (window.passed >= BURST) {
      window.leftOut++;
      return undefined;
    }
    window.passed++;
    this.total.passed++;
    return window === known ? 0 : (known?.leftOut ?? 0);
  }

  private remember(key: string, window: Window): void {
    this.windows.delete(key);
    this.windows.set(key, window);
    if (this.windows.size > MAX_SOURCES) {
      const [quietest] = this.windows.keys();
      if (quietest !== undefined) this.windows.delete(quietest);
    }
  }
}

/** The same window while it lasts; a clock that was set back begins a new one. */
function current(window: Window | undefined, now: EpochMs): Window {
  if (window !== undefined && now >= window.startedAt && now - window.startedAt < WINDOW_MS) return window;
  return { startedAt: now, passed: 0, leftOut: 0 };
}
