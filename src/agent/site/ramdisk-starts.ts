/**
 * Counts how often a machine was sent into the ramdisk since it last registered from there. An install order counts its
 * attempts when a machine registers; a machine that cannot get so far (no driver for its card, broken memory) would load the
 * ramdisk for ever, and never come to its disk. Kept in memory: after a restart of the site it counts anew.
 */
import type { MacAddress } from "../../core/mac.ts";
import type { EpochMs } from "../../core/time.ts";

/** The three attempts of an order, and two for a cable or a switch that was down. */
export const MAX_VAIN_STARTS = 5;
/** Then it may try again: whatever kept it from us may have been repaired, and nobody is there to say so. */
export const REST_MS = 60 * 60_000;
/** A site has tens of machines; a flood of made-up addresses stops here. */
const MAX_MACHINES = 4096;

interface Starts {
  readonly intentId: string | null;
  readonly count: number;
  readonly lastAt: EpochMs;
}

export class RamdiskStarts {
  readonly #machines = new Map<MacAddress, Starts>();

  /** Starts that came to nothing. An order that is new begins anew. */
  vainStarts(mac: MacAddress, intentId: string | null, now: EpochMs): number {
    const starts = this.#machines.get(mac);
    if (starts === undefined || starts.intentId !== intentId || now - starts.lastAt >= REST_MS) return 0;
    return starts.count;
  }

  started(mac: MacAddress, intentId: string | null, now: EpochMs): void {
    const count = this.vainStarts(mac, intentId, now) + 1;
    this.#machines.delete(mac);
    this.#machines.set(mac, { intentId, count, lastAt: now });
    const [oldest] = this.#machines.keys();
    if (this.#machines.size > MAX_MACHINES && oldest !== undefined) this.#machines.delete(oldest);
  }

  registered(mac: MacAddress): void {
    this.#machines.delete(mac);
  }
}
