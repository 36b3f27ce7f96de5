/**
 * A fleet in small: a hub, two sites behind WAN links, three machines. Everything is a process of its own in a network of
 * its own; a machine reaches its site and nothing else.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LabHub, startHub } from "./lab-hub.ts";
import { createSigningKey, pushImage } from "./lab-images.ts";
import { HUB_WAN_ADDRESS, type LabSite, openSite } from "./lab-site.ts";
import { connectToHost, createNamespace } from "./namespace.ts";
import type { LabProcess } from "./processes.ts";
import { type Timeline, tellTimeline } from "./timeline.ts";
import { createMachine, type VirtualMachine } from "./virtual-machine.ts";

export interface PoweredMachine extends VirtualMachine {
  /** Cuts its power and gives it back. */
  powerCycle(): Promise<void>;
}

export interface TwoSites extends AsyncDisposable {
  readonly hub: LabHub;
  readonly dashboard: string;
  readonly north: LabSite;
  readonly south: LabSite;
  readonly machines: readonly PoweredMachine[];
  /** For the explanation of a failure. */
  readonly logFiles: readonly string[];
}

/** All of it up, v1, v2 and v3 pushed (v3's health check fails), the machines powered off with empty disks. */
export async function startTwoSites(timeline: Timeline, signal: AbortSignal): Promise<TwoSites> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "drp-lab-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));

  timeline.title("A hub, and two sites that join it: nothing but their own HTTPS line leads there");
  const hubNamespace = started.use(await createNamespace("hub"));
  await hubNamespace.addBridge("wan", `${HUB_WAN_ADDRESS}/24`);
  const host = started.use(await connectToHost(hubNamespace));
  const hub = started.use(await startHub({ namespace: hubNamespace, folder, config: [], signal }));
  const dashboard = `https://${host.address}:8092`;
  timeline.say("hub", `drp serve is ready; dashboard ${dashboard}`);
  const place = { hub, hubNamespace, folder };
  const north = started.use(await openSite("north", 1, place));
  const south = started.use(await openSite("south", 2, place));
  timeline.say("hub", "north and south have joined, each with a token that worked once");

  const key = await createSigningKey(hub, folder);
  await Promise.all([
    pushImage(hub, folder, { version: "v1", healthy: true, key }),
    pushImage(hub, folder, { version: "v2", healthy: true, key }),
    pushImage(hub, folder, { version: "v3", healthy: false, key }),
  ]);
  timeline.say("ci", "built, signed and pushed app:v1, app:v2 and app:v3 (whose health check fails)");

  const machines = await Promise.all(
    (
      [
        [north, { name: "north-1", firmware: "bios", mac: "52:54:00:70:01:01" }],
        [south, { name: "south-1", firmware: "uefi", mac: "52:54:00:70:02:01" }],
        [south, { name: "south-2", firmware: "bios", mac: "52:54:00:70:02:02" }],
      ] as const
    ).map(([site, spec]) => plugIn(started, hub, site, folder, spec)),
  );
  started.use(hub.watchEvents(tellTimeline(timeline, machines)));

  const kept = started.move();
  return {
    hub,
    dashboard,
    north,
    south,
    machines,
    logFiles: [...machines.map(({ serialLog }) => serialLog), hub.logFile, north.logFile, south.logFile],
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function plugIn(
  started: AsyncDisposableStack,
  hub: LabHub,
  site: LabSite,
  folder: string,
  spec: Parameters<typeof createMachine>[2],
): Promise<PoweredMachine> {
  const machine = await createMachine(site.namespace, folder, spec);
  await hub.drp("machines", "create", spec.name, "--mac", spec.mac, "--site", site.name);
  let running: LabProcess | undefined;
  started.defer(async () => running?.[Symbol.asyncDispose]());
  const powerOn = () => {
    running = machine.powerOn();
    return running;
  };
  return {
    ...machine,
    powerOn,
    async powerCycle() {
      await running?.kill();
      powerOn();
    },
  };
}
