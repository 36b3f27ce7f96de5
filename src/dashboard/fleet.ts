/** Everything the page shows, and how each piece of news changes it. No network here. */
import type { Event, Image, Lease, Machine, Rollout, Site, Status } from "../api/wire.ts";
import type { Session } from "./api.ts";
import { isUpdating } from "./words.ts";

export interface Fleet {
  readonly session: Session;
  readonly status: Status;
  readonly sites: readonly Site[];
  readonly machines: readonly Machine[];
  readonly images: readonly Image[];
  /** Newest first. */
  readonly rollouts: readonly Rollout[];
  readonly leases: readonly Lease[];
  /** Oldest first. */
  readonly events: readonly Event[];
}

/** A page that is left open for a week must not grow. */
const KEPT_EVENTS = 200;

export function withMachine(fleet: Fleet, machine: Machine): Fleet {
  const others = fleet.machines.filter(other => other.id !== machine.id);
  const machines = [...others, machine].sort((one, other) => one.name.localeCompare(other.name));
  return { ...fleet, machines };
}

export function withoutMachine(fleet: Fleet, id: string): Fleet {
  return { ...fleet, machines: fleet.machines.filter(machine => machine.id !== id) };
}

/** An event that came twice, as after a reconnect, is kept once. */
export function withEvents(fleet: Fleet, news: readonly Event[]): Fleet {
  const byId = new Map([...fleet.events, ...news].map(event => [event.id, event]));
  const events = [...byId.values()].sort((one, other) => one.id - other.id).slice(-KEPT_EVENTS);
  return { ...fleet, events };
}

export function imageName(fleet: Fleet, digest: string): string {
  const image = fleet.images.find(candidate => candidate.digest === digest);
  return image === undefined ? digest.slice(0, "sha256:".length + 12) : `${image.name}:${image.version}`;
}

/** What runs, and what is on its way there. */
export function imagesOf(
  fleet: Fleet,
  machine: Machine,
): { running: string | undefined; coming: string | undefined } {
  const { state, running } = machine;
  const coming =
    state.kind === "assigned" || state.kind === "installing"
      ? state.intent.image
      : state.kind === "booting"
        ? state.image
        : isUpdating(machine)
          ? machine.target?.image
          : undefined;
  return {
    running: running === null ? undefined : (running.imageName ?? imageName(fleet, running.image)),
    coming: coming === undefined ? undefined : imageName(fleet, coming),
  };
}

export function addressOf(fleet: Fleet, machine: Machine): string | undefined {
  return fleet.leases.find(lease => machine.macs.includes(lease.mac))?.address;
}
