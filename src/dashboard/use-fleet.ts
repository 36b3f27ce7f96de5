/** Keeps the fleet up to date: read once, then by server-sent events, each followed by a fresh look at what it names. */
import { useEffect, useState } from "preact/hooks";
import type { Event } from "../api/wire.ts";
import {
  eventStreamUrl,
  getImages,
  getLeases,
  getMachine,
  getMachines,
  getNewestEvents,
  getNewestRollouts,
  getSession,
  getSites,
  getStatus,
  SignedOutError,
} from "./api.ts";
import { type Fleet, withEvents, withMachine, withoutMachine } from "./fleet.ts";
import { isEnded } from "./rollout-words.ts";
import { isInFlight } from "./words.ts";

export type Line = "live" | "reconnecting";

export type FleetState =
  | { readonly kind: "loading" }
  | { readonly kind: "signed-out" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "ready"; readonly fleet: Fleet; readonly line: Line };

/** Byte counts of installs and updates are no events: they are asked for. */
const PROGRESS_POLL_MS = 2000;
/** A burst of events for one machine is one question. */
const SETTLE_MS = 150;
const RETRY_MS = 3000;

export function useFleet(): readonly [FleetState, () => void] {
  const [state, setState] = useState<FleetState>({ kind: "loading" });
  const [session, setSession] = useState(0);

  useEffect(() => {
    const follower = new FleetFollower(setState);
    follower.start();
    return () => follower.stop();
  }, [session]);

  return [state, () => setSession(count => count + 1)];
}

class FleetFollower {
  private readonly publish: (state: FleetState) => void;
  private fleet: Fleet | undefined;
  private line: Line = "reconnecting";
  private source: EventSource | undefined;
  private readonly timers = new Map<string, number>();
  private stopped = false;

  constructor(publish: (state: FleetState) => void) {
    this.publish = publish;
  }

  start(): void {
    this.attempt(async () => {
      await this.loadAll();
      this.listen();
      this.pollProgress();
    });
  }

  stop(): void {
    this.stopped = true;
    this.source?.close();
    for (const timer of this.timers.values()) clearTimeout(timer);
  }

  private async loadAll(): Promise<void> {
    // Alone and first: without a session it is the only question that is refused.
    const status = await getStatus();
    // Then the events: what happens after them comes by the stream, so nothing falls between.
    const events = await getNewestEvents();
    const [session, rollouts, sites, machines, images, leases] = await Promise.all([
      getSession(),
      getNewestRollouts(),
      getSites(),
      getMachines(),
      getImages(),
      getLeases(),
    ]);
    const fresh = { session, status, rollouts, sites, machines, images, leases, events };
    this.change(() => (this.fleet === undefined ? fresh : withEvents(fresh, this.fleet.events)), fresh);
  }

  private listen(): void {
    const source = new EventSource(eventStreamUrl(this.fleet?.events.at(-1)?.id ?? 0));
    this.source = source;
    let opened = false;
    source.onopen = () => {
      this.setLine("live");
      // What happened while the line was down came without events for machines that are gone.
      if (opened) this.attempt(() => this.loadAll());
      opened = true;
    };
    source.onmessage = message => this.onEvent(JSON.parse(message.data));
    source.onerror = () => {
      this.setLine("reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      // The browser gives up on an error status, such as an ended session: reading says which.
      this.later("reopen", RETRY_MS, async () => {
        await this.loadAll();
        this.listen();
      });
    };
  }

  private onEvent(event: Event): void {
    this.change(fleet => withEvents(fleet, [event]));
    const { machineId } = event;
    if (machineId !== null) this.later(machineId, SETTLE_MS, () => this.refreshMachine(machineId));
    this.later("summary", SETTLE_MS, () => this.refreshSummary());
  }

  private async refreshMachine(id: string): Promise<void> {
    try {
      const machine = await getMachine(id);
      this.change(fleet => withMachine(fleet, machine));
    } catch (error) {
      if (error instanceof SignedOutError) throw error;
      this.change(fleet => withoutMachine(fleet, id));
    }
  }

  private async refreshSummary(): Promise<void> {
    const [rollouts, sites, images, leases] = await Promise.all([
      getNewestRollouts(),
      getSites(),
      getImages(),
      getLeases(),
    ]);
    this.change(fleet => ({ ...fleet, rollouts, sites, images, leases }));
  }

  private async refreshRollouts(): Promise<void> {
    const rollouts = await getNewestRollouts();
    this.change(fleet => ({ ...fleet, rollouts }));
  }

  private pollProgress(): void {
    this.later("progress", PROGRESS_POLL_MS, async () => {
      try {
        const { machines = [], rollouts = [] } = this.fleet ?? {};
        const moving = machines.filter(machine => isInFlight(machine.state.kind));
        const isRolling = rollouts.some(({ state }) => !isEnded(state));
        await Promise.all([
          ...moving.map(machine => this.refreshMachine(machine.id)),
          ...(isRolling ? [this.refreshRollouts()] : []),
        ]);
      } finally {
        this.pollProgress();
      }
    });
  }

  private setLine(line: Line): void {
    this.line = line;
    this.change(fleet => fleet);
  }

  private change(step: (fleet: Fleet) => Fleet, first?: Fleet): void {
    const before = this.fleet ?? first;
    if (before === undefined || this.stopped) return;
    this.fleet = step(before);
    this.publish({ kind: "ready", fleet: this.fleet, line: this.line });
  }

  /** One timer for each name; asking again before it rings changes nothing. */
  private later(name: string, delayMs: number, work: () => Promise<void>): void {
    if (this.timers.has(name) || this.stopped) return;
    const ring = () => {
      this.timers.delete(name);
      this.attempt(work);
    };
    this.timers.set(name, window.setTimeout(ring, delayMs));
  }

  private attempt(work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (this.stopped) return;
      if (error instanceof SignedOutError) {
        this.stop();
        this.publish({ kind: "signed-out" });
      } else if (this.fleet === undefined) {
        this.publish({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
        this.later("start", RETRY_MS, async () => this.start());
      } else this.setLine("reconnecting");
    });
  }
}
