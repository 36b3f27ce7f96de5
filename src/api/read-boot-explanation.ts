/** Gathers what `explainBoot` reads: a machine's events, its site's, and who else was heard of. Decides nothing. */
import { type BootExplanation, explainBoot } from "../agent/hub/explain/explain-boot.ts";
import type { SiteListening, UnknownMachine } from "../agent/hub/explain/explain-silence.ts";
import type { MachineRecord } from "../agent/hub/machine-record.ts";
import { DrpError } from "../core/errors.ts";
import { type MacAddress, parseMac } from "../core/mac.ts";
import type { EventRecord, SiteRecord, Store } from "../store/ports.ts";
import type { ApiDeps } from "./deps.ts";
import type { BootExplanation as WireExplanation } from "./wire.ts";

/** A boot makes 20 to 60 events: some twenty boots. */
const EVENTS_OF_A_MACHINE = 1000;
const EVENTS_OF_A_SITE = 200;
/** Enough to meet whoever tried to boot in the last hours. */
const EVENTS_TO_LOOK_FOR_OTHERS = 2000;
const MAX_SITES = 100;

type MachineExplanation = Pick<WireExplanation, "mac" | "machine" | "siteName"> & BootExplanation;

/** @throws {DrpError} machine.unknown for what is neither a MAC address nor a machine */
export async function readBootExplanation(
  { store, status, clock }: ApiDeps,
  reference: string,
  maxBoots: number,
): Promise<MachineExplanation> {
  const machine = await store.findMachine(reference);
  const mac = parseMac(reference) ?? machine?.macs[0];
  if (mac === undefined) throw notAMachine(reference);
  const events = await eventsOf(store, machine, mac);
  const siteId = machine?.siteId ?? events.at(-1)?.siteId ?? null;
  const site = siteId === null ? undefined : await store.findSite(siteId);
  const ofSite = siteId === null ? {} : { siteId };
  const siteEvents = await store.listEvents({
    ...ofSite,
    mac: null,
    limit: EVENTS_OF_A_SITE,
    from: "newest",
  });
  const heard = events.length > 0;
  const explained = explainBoot({
    mac,
    events,
    siteEvents: siteEvents.filter(({ kind }) => kind.startsWith("dhcp.")),
    machineState: machine?.state.kind ?? null,
    listening: heard ? [] : await sitesListening(store, status().services),
    unknownMachines: heard ? [] : await findUnknownMachines(store),
    maxBoots,
    now: clock(),
  });
  return {
    mac,
    machine: machine === undefined ? null : { id: machine.id, name: machine.name, state: machine.state.kind },
    siteName: site?.name ?? null,
    ...explained,
  };
}

/** By its record and by each of its addresses: before it was entered, its packets named no machine. */
async function eventsOf(
  store: Store,
  machine: MachineRecord | undefined,
  mac: MacAddress,
): Promise<EventRecord[]> {
  const newest = { limit: EVENTS_OF_A_MACHINE, from: "newest" } as const;
  const macs = new Set([mac, ...(machine?.macs ?? [])]);
  const lists = await Promise.all([
    ...[...macs].map(each => store.listEvents({ mac: each, ...newest })),
    ...(machine === undefined ? [] : [store.listEvents({ machineId: machine.id, ...newest })]),
  ]);
  const byId = new Map(lists.flat().map(event => [event.id, event]));
  // By their own time: a site that was cut off reports later what happened earlier.
  return [...byId.values()].toSorted((a, b) => a.at - b.at || a.id - b.id);
}

async function sitesListening(
  store: Store,
  services: ReturnType<ApiDeps["status"]>["services"],
): Promise<SiteListening[]> {
  const sites = await store.listSites({ limit: MAX_SITES });
  return sites.map(site => (site.membership === null ? ownSite(site, services) : siteElsewhere(site)));
}

function ownSite({ name }: SiteRecord, services: ReturnType<ApiDeps["status"]>["services"]): SiteListening {
  const dhcp = services.filter(service => service.name === "dhcp" || service.name === "proxy-dhcp");
  const on = dhcp.find(({ state }) => state === "on");
  if (on !== undefined) return { site: name, state: "on", detail: `${on.name} on ${on.detail}` };
  return { site: name, state: "off", detail: dhcp[0]?.detail ?? "it is starting" };
}

function siteElsewhere({ name, membership }: SiteRecord): SiteListening {
  return membership?.kind === "joined"
    ? { site: name, state: "unknown", detail: "see drp status there" }
    : { site: name, state: "off", detail: "nobody has joined as it so far: drp site join" };
}

async function findUnknownMachines(store: Store): Promise<UnknownMachine[]> {
  const events = await store.listEvents({ limit: EVENTS_TO_LOOK_FOR_OTHERS, from: "newest" });
  const lastAt = new Map<string, number>();
  for (const { mac, machineId, at } of events) if (mac !== null && machineId === null) lastAt.set(mac, at);
  return [...lastAt].map(([mac, at]) => ({ mac, lastAt: at })).toSorted((a, b) => b.lastAt - a.lastAt);
}

function notAMachine(reference: string): DrpError {
  return new DrpError("machine.unknown", `no machine has the id, name or MAC address ${reference}`, {
    advice:
      "Give its MAC address, as 52:54:00:12:34:56: boots are explained of machines that nobody has entered, too.",
  });
}
