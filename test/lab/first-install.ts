/**
 * The first half of the main job: two machines with empty disks, one with BIOS and one with UEFI, are powered on and end
 * healthy on the image that was ordered. The BIOS machine is unknown at first and is discovered; the UEFI machine was
 * entered by an operator before.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { buildMinimalRootfs } from "../../boot/images/minimal/build.ts";
import { type LabEvent, type LabHub, startHub } from "./lab-hub.ts";
import { createLabNetwork, startRouter } from "./lab-network.ts";
import { isOnPath } from "./missing-for-lab.ts";
import type { Timeline } from "./timeline.ts";
import { createMachine, type VirtualMachine } from "./virtual-machine.ts";

const DISK_BYTES = 2 * 1024 ** 3;
/** From power-on; the bar is 90 s, and a machine that needs longer than this hangs. */
const HEALTHY_WITHIN = "240s";

export interface InstalledMachine {
  readonly name: string;
  readonly secondsToHealthy: number;
}

export interface FirstInstall extends AsyncDisposable {
  readonly hub: LabHub;
  readonly installed: readonly InstalledMachine[];
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
  const network = started.use(await createLabNetwork());
  if (isOnPath("radvd")) started.use(await startRouter(network, folder));
  else
    timeline.say("router", "no radvd (Debian package radvd): iPXE waits 16 s for IPv6 at each network boot");
  const hub = started.use(await startHub(network, folder, signal));
  timeline.say("hub", `drp serve is ready; dashboard ${hub.dashboard}`);
  await pushImage(hub, folder, "v1", timeline);

  const machines = {
    bios: await createMachine(network, folder, {
      name: "bios-1",
      firmware: "bios",
      mac: "52:54:00:77:00:01",
      diskBytes: DISK_BYTES,
    }),
    uefi: await createMachine(network, folder, {
      name: "uefi-1",
      firmware: "uefi",
      mac: "52:54:00:77:00:02",
      diskBytes: DISK_BYTES,
    }),
  };
  started.use(hub.watchEvents(tellTimeline(timeline, Object.values(machines))));

  const installed: InstalledMachine[] = [];
  for (const machine of Object.values(machines)) {
    timeline.title(
      machine.firmware === "bios"
        ? "An unknown machine (SeaBIOS, iPXE ROM) is discovered, then ordered to install v1"
        : "A machine that was entered before (OVMF) installs v1 by itself",
    );
    if (machine.firmware === "uefi") await orderBeforehand(hub, machine);
    const poweredOnAt = Date.now();
    started.use(machine.powerOn());
    timeline.say(machine.name, `power on (${machine.firmware}, empty disk of 2 GiB, ${machine.mac})`);
    try {
      if (machine.firmware === "bios") await discoverAndOrder(hub, machine);
      await hub.drp("machines", "wait", machine.name, "--for", "healthy", "--timeout", HEALTHY_WITHIN);
    } catch (cause) {
      throw new Error(
        `${machine.name} did not become healthy; its console ended with:\n${await lastLines(machine.serialLog)}\nand the hub's log with:\n${await lastLines(hub.logFile)}`,
        { cause },
      );
    }
    const secondsToHealthy = (Date.now() - poweredOnAt) / 1000;
    timeline.say(machine.name, `healthy ${secondsToHealthy.toFixed(1)} s after power-on`);
    installed.push({ name: machine.name, secondsToHealthy });
  }
  timeline.title("drp machines list");
  timeline.block(await hub.drp("machines", "list", "-o", "table"));

  const kept = started.move();
  return { hub, installed, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function pushImage(hub: LabHub, folder: string, version: string, timeline: Timeline): Promise<void> {
  const rootfs = join(folder, `rootfs-${version}`);
  await buildMinimalRootfs({ drp: "dist/drp", cache: ".cache/debian", out: rootfs, version, healthy: true });
  const key = join(folder, "ci");
  const bundle = join(folder, `app-${version}.tar`);
  await hub.drp("images", "keys", "create", key);
  await hub.drp("images", "keys", "trust", `${key}.pub`);
  await hub.drp(
    ...["images", "build", "--rootfs", rootfs, "--name", "app", "--version", version],
    ...["--health", "app=/usr/lib/drp/health/app", "--key", `${key}.key`, "--out", bundle],
  );
  await hub.drp("images", "push", bundle);
  timeline.say("ci", `built, signed and pushed app:${version}`);
}

async function orderBeforehand(hub: LabHub, machine: VirtualMachine): Promise<void> {
  await hub.drp("machines", "create", machine.name, "--mac", machine.mac);
  await hub.drp("machines", "install", machine.name, "--image", "v1");
}

async function discoverAndOrder(hub: LabHub, machine: VirtualMachine): Promise<void> {
  const discovered = `d${machine.mac.replaceAll(":", "-")}`;
  await hub.drp("machines", "wait", discovered, "--for", "discovered", "--timeout", HEALTHY_WITHIN);
  await hub.drp("machines", "update", discovered, "--name", machine.name);
  await hub.drp("machines", "install", machine.name, "--image", "v1");
}

function tellTimeline(timeline: Timeline, machines: readonly VirtualMachine[]): (event: LabEvent) => void {
  const nameOfId = new Map<string, string>();
  return event => {
    const byMac = machines.find(machine => machine.mac === event.mac);
    if (byMac !== undefined && event.machineId !== null) nameOfId.set(event.machineId, byMac.name);
    const actor = byMac?.name ?? nameOfId.get(event.machineId ?? "") ?? "hub";
    timeline.say(actor, `${event.kind.padEnd(20)} ${event.summary}`);
  };
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "(nothing)");
  return stripVTControlCharacters(text)
    .split(/\r?\n/)
    .filter(line => line.trim() !== "")
    .slice(-25)
    .join("\n");
}
