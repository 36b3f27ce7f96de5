/** Why nothing was heard of a machine: what is off here, who nearly has its address, and where to look on the machine's side. */
import { type EpochMs, formatDuration } from "../../../core/time.ts";
import { nearMacs } from "./near-macs.ts";
import type { Verdict } from "./verdict.ts";

/** One site's DHCP, as far as the hub knows. */
export interface SiteListening {
  readonly site: string;
  readonly state: "on" | "off" | "unknown";
  /** Where it listens, or why it does not. */
  readonly detail: string;
}

export interface UnknownMachine {
  readonly mac: string;
  readonly lastAt: EpochMs;
}

export interface SilenceInput {
  readonly mac: string;
  readonly listening: readonly SiteListening[];
  /** Heard of lately, and no machine of the fleet. */
  readonly unknownMachines: readonly UnknownMachine[];
  /** What went wrong at the sites lately: a lost interface, an empty pool, another DHCP server. */
  readonly troubles: readonly string[];
  readonly now: EpochMs;
}

/** Named as a hint only: more would bury it. */
const MAX_NAMED = 5;

export function explainSilence({ mac, listening, unknownMachines, troubles, now }: SilenceInput): Verdict {
  const off = listening.filter(({ state }) => state === "off");
  const on = listening.filter(({ state }) => state !== "off");
  const macs = unknownMachines.map(entry => entry.mac);
  const near = new Set(nearMacs(mac, macs).slice(0, MAX_NAMED));
  const named = [...near].flatMap(each => unknownMachines.find(entry => entry.mac === each) ?? []);
  const ago = (at: EpochMs) => (now - at < 1000 ? "now" : `${formatDuration(now - at)} ago`);
  const list = (entries: readonly UnknownMachine[]) =>
    entries.map(entry => `${entry.mac} (${ago(entry.lastAt)})`).join(", ");
  const likely =
    named[0] === undefined
      ? []
      : [
          `Is it a typing error, or another port of the same machine? Heard lately, and differing by little: ${list(named)}. See: drp boot explain ${named[0].mac}`,
        ];
  const others = unknownMachines.filter(entry => !near.has(entry.mac)).slice(0, MAX_NAMED);
  return {
    tone: "bad",
    last: `no packet of ${mac} was ever heard`,
    meaning: meaningOf(off, on),
    advice: [
      ...likely,
      ...off.map(({ site, detail }) => `DHCP of site ${site} is off: ${detail}`),
      ...troubles.slice(0, MAX_NAMED),
      ...(on.length === 0 ? [] : MACHINE_SIDE),
      ...on.map(({ site, detail }) => `It must be on a network that site ${site} serves: ${detail}`),
      ...(others.length === 0 ? [] : [`Other addresses that nobody entered were heard: ${list(others)}`]),
    ],
  };
}

function meaningOf(off: readonly SiteListening[], on: readonly SiteListening[]): string {
  if (on.length === 0 && off.length > 0) return "nobody listens: DHCP is off here";
  return "it is off, does not boot from the network, or its packets do not get here";
}

const MACHINE_SIDE = [
  "Is it on, and the cable in a port with a link light? Is that the port with this MAC address?",
  "Network boot (PXE or HTTP, IPv4) must be on in its firmware, and stand before the disk.",
  "Its switch port must be in the right VLAN; a network behind a router needs a DHCP relay to this site.",
];
