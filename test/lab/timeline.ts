/** What the lab prints: one line per fact, with seconds since the start and who it is about. */

import type { LabEvent } from "./lab-hub.ts";
import type { VirtualMachine } from "./virtual-machine.ts";

const COLOURS = [36, 33, 35, 32, 34];

export class Timeline {
  readonly #startedAt = Date.now();
  readonly #print: (line: string) => void;
  readonly #colour: boolean;
  readonly #actors: string[] = [];

  constructor(print: (line: string) => void, colour: boolean) {
    this.#print = print;
    this.#colour = colour;
  }

  title(text: string): void {
    this.#print("");
    this.#print(this.#paint(1, text));
  }

  say(actor: string, text: string): void {
    if (!this.#actors.includes(actor)) this.#actors.push(actor);
    const seconds = ((Date.now() - this.#startedAt) / 1000).toFixed(1).padStart(6);
    const colour = COLOURS[this.#actors.indexOf(actor) % COLOURS.length] ?? 0;
    this.#print(`${seconds} s  ${this.#paint(colour, actor.padEnd(8))}  ${text}`);
  }

  /** Output of a command, as a person would see it. */
  block(text: string): void {
    for (const line of text.trimEnd().split("\n")) this.#print(`            ${line}`);
  }

  #paint(code: number, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** Events of the hub as lines of the timeline, under the machine's name where they have one. */
export function tellTimeline(
  timeline: Timeline,
  machines: readonly VirtualMachine[],
): (event: LabEvent) => void {
  const nameOfId = new Map<string, string>();
  return event => {
    // Four lines at each boot, and the boot script's line says the same: `drp why MACHINE` has them all.
    if (event.kind.startsWith("dhcp.") || event.kind.startsWith("tftp.")) return;
    const byMac = machines.find(machine => machine.mac === event.mac);
    if (byMac !== undefined && event.machineId !== null) nameOfId.set(event.machineId, byMac.name);
    const actor = byMac?.name ?? nameOfId.get(event.machineId ?? "") ?? "hub";
    timeline.say(actor, `${event.kind.padEnd(20)}  ${event.summary}`);
  };
}
