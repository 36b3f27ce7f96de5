import type { MacAddress } from "../core/mac.ts";

/** One line of a machine's timeline: a packet, a decision, a transfer. The kinds are listed in docs/booting.md. */
export interface BootEvent {
  /** "dhcp.offer", "tftp.done" */
  readonly kind: string;
  /** One sentence for people, with the reason. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Takes events, or leaves them out where there are too many.
 *
 * @param mac null where the packet did not say whose it is
 * @param describe asked only if the event is taken: under load nearly none is
 */
export type EventSink = (mac: MacAddress | null, kind: string, describe: () => BootEvent) => void;
