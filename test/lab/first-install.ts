/**
 * The first half of the main job, all in one process: two machines with empty disks, one with BIOS and one with UEFI, are
 * powered on one after another and end healthy on the image that was ordered. The BIOS machine is unknown at first and is
 * discovered; the UEFI machine was entered by an operator before.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explainFailure } from "./explain-failure.ts";
import { type LabHub, startHub } from "./lab-hub.ts";
import { createSigningKey, pushImage } from "./lab-images.ts";
import { isOnPath } from "./missing-for-lab.ts";
import { connectToHost, createNamespace, startRouter } from "./namespace.ts";
import { type SeenMachine, showMachines } from "./show-machines.ts";
import { type Timeline, tellTimeline } from "./timeline.ts";
import { createMachine, type VirtualMachine } from "./virtual-machine.ts";

/** From power-on; the bar is 90 s, and a machine that needs longer than this hangs. */
const HEALTHY_WITHIN = "240s";

interface InstalledMachine {
  readonly name: string;
  readonly secondsToHealthy: number;
}

export interface FirstInstall extends AsyncDisposable {
  readonly hub: LabHub;
  readonly dashboard: string;
  readonly seen: {
    readonly installed: readonly InstalledMachine[];
    readonly machines: readonly SeenMachine[];
  };
}

/**
 * @param signal ends the lab early; everything that was started is ended before this throws
 * @throws Error with the last lines of the machine's console when a machine does not become healthy
 */
export async function firstInstall(timeline: Timeline, signal: AbortSignal): Promise<FirstInstall> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "drp-lab-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));

  timeline.title("A site: one switch, one hub, two machines with empty disks");
  const namespace = started.use(await createNamespace(""));
  await namespace.addBridge("br0", "10.77.0.1/24");
  if (isOnPath("radvd")) started.use(await startRouter(namespace, folder));
  else timeline.say("router", "no radvd (Debian package): iPXE waits 16 s for IPv6 at each network boot");
  const host = started.use(await connectToHost(namespace));
  const hub = started.use(await startHub({ namespace, folder, config: ALL_IN_ONE, signal }));
  const dashboard = `https://${host.address}:8092`;
  timeline.say("hub", `drp serve is ready; dashboard ${dashboard}`);
  await pushImage(hub, folder, { version: "v1", healthy: true, key: await createSigningKey(hub, folder) });
  timeline.say("ci", "built, signed and pushed app:v1");

  const bios = await createMachine(namespace, folder, {
    name: "bios-1",
    firmware: "bios",
    mac: "52:54:00:77:00:01",
  });
  const uefi = await createMachine(namespace, folder, {
    name: "uefi-1",
    firmware: "uefi",
    mac: "52:54:00:77:00:02",
  });
  started.use(hub.watchEvents(tellTimeline(timeline, [bios, uefi])));

  const installed: InstalledMachine[] = [];
  const install = async (machine: VirtualMachine, order: () => Promise<void>) => {
    const poweredOnAt = Date.now();
    started.use(machine.powerOn());
    timeline.say(machine.name, `power on (${machine.firmware}, empty disk, ${machine.mac})`);
    await order();
    await hub.drp("machines", "wait", machine.name, "--for", "healthy", "--timeout", HEALTHY_WITHIN);
    const secondsToHealthy = (Date.now() - poweredOnAt) / 1000;
    timeline.say(machine.name, `healthy ${secondsToHealthy.toFixed(1)} s after power-on`);
    installed.push({ name: machine.name, secondsToHealthy });
  };
  try {
    timeline.title("An unknown machine (SeaBIOS, iPXE ROM) is discovered, then ordered to install v1");
    await install(bios, () => discoverAndOrder(hub, bios));
    timeline.title("A machine that was entered before (OVMF) installs v1 by itself");
    await hub.drp("machines", "create", uefi.name, "--mac", uefi.mac);
    await hub.drp("machines", "install", uefi.name, "--image", "v1");
    await install(uefi, async () => {});
  } catch (cause) {
    throw await explainFailure(cause, [bios.serialLog, uefi.serialLog, hub.logFile]);
  }
  timeline.title("drp machines list");
  const machines = await showMachines(hub, timeline);

  const kept = started.move();
  return { hub, dashboard, seen: { installed, machines }, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const ALL_IN_ONE = [
  "site:",
  "  name: lab",
  "  unknown: discover",
  "dhcp:",
  "  interfaces: [br0]",
  "  subnets:",
  "    - network: 10.77.0.0/24",
  "      pools: [10.77.0.100-10.77.0.199]",
  "      router: 10.77.0.1",
];

async function discoverAndOrder(hub: LabHub, machine: VirtualMachine): Promise<void> {
  const discovered = `d${machine.mac.replaceAll(":", "-")}`;
  await hub.drp("machines", "wait", discovered, "--for", "discovered", "--timeout", HEALTHY_WITHIN);
  await hub.drp("machines", "update", discovered, "--name", machine.name);
  await hub.drp("machines", "install", machine.name, "--image", "v1");
}
