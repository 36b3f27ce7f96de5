/**
 * The ways into the ramdisk that need another firmware or another network than the main job's: Secure Boot, UEFI HTTP boot, an
 * arm64 machine, and a network whose addresses another DHCP server gives. The machines boot side by side, each until the hub
 * knows it.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchPrograms } from "../../bench/peers.ts";
import { createArmMachine } from "./arm-machine.ts";
import { explainFailure } from "./explain-failure.ts";
import { type LabHub, startHub } from "./lab-hub.ts";
import { isOnPath } from "./missing-for-lab.ts";
import { createNamespace, type Namespace, startRouter } from "./namespace.ts";
import { startProcess, untilFileShows } from "./processes.ts";
import { type Timeline, tellTimeline } from "./timeline.ts";
import { createMachine, type VirtualMachine } from "./virtual-machine.ts";

/** Ends a machine that hangs; alone on two cores the slowest takes 75 s. */
const PATIENCE_MS = 5 * 60_000;

export interface NetworkBoot {
  /** "dhcp.offer DISCOVER: 10.78.0.100 …", in the order in which they were told. */
  readonly events: readonly string[];
  /** What the machine wrote on its serial port. */
  readonly console: string;
}

export interface NetworkBoots extends AsyncDisposable {
  readonly seen: Readonly<Record<"secureBoot" | "httpBoot" | "arm64" | "proxy", NetworkBoot>>;
}

/** @throws Error with the last lines of the machine's console when a machine does not get there */
export async function networkBoots(timeline: Timeline, signal: AbortSignal): Promise<NetworkBoots> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "drp-lab-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));

  timeline.title(
    "One site that gives addresses, one beside another DHCP server; machines that are not known",
  );
  const own = started.use(await openNetwork("own", "10.78.0", folder));
  const foreign = started.use(await openNetwork("foreign", "10.79.0", folder));
  const hub = started.use(
    await startHub({ namespace: own.namespace, folder, config: OWN_ADDRESSES, signal }),
  );
  started.use(await startAddressServer(foreign.namespace, folder));
  const proxy = started.use(
    await startHub({ namespace: foreign.namespace, folder: foreign.folder, config: PROXY, signal }),
  );

  const secure = await createMachine(own.namespace, folder, machine("secure-1", "secure-boot", 1));
  const http = await createMachine(own.namespace, folder, machine("http-1", "uefi-http", 2));
  const arm = await createArmMachine(own.namespace, folder, { name: "arm-1", mac: macOf(3) });
  const pxe = await createMachine(foreign.namespace, folder, {
    ...machine("proxy-1", "uefi", 4),
    optionRom: false,
  });
  const machines = [secure, http, arm, pxe];
  const events = new Map(machines.map(({ mac }) => [mac, [] as string[]]));
  const tell = tellTimeline(timeline, machines);
  for (const watched of [hub, proxy]) {
    started.use(
      watched.watchEvents(event => {
        tell(event);
        events.get(event.mac ?? "")?.push(`${event.kind} ${event.summary}`);
      }),
    );
  }
  const seenOf = async ({ mac, serialLog }: VirtualMachine): Promise<NetworkBoot> => ({
    events: events.get(mac) ?? [],
    console: await readFile(serialLog, "latin1"),
  });
  try {
    await Promise.all([
      bootSecurely(hub, secure, timeline),
      bootUntilDiscovered(hub, http),
      bootUntilConsoleShows(arm, /drp: the ramdisk of this site is for/),
      bootUntilDiscovered(proxy, pxe),
    ]);
  } catch (cause) {
    const logs = [...machines.map(({ serialLog }) => serialLog), hub.logFile, proxy.logFile];
    throw await explainFailure(cause, logs);
  }
  const [secureBoot, httpBoot, arm64, proxied] = await Promise.all([secure, http, arm, pxe].map(seenOf));
  if (!secureBoot || !httpBoot || !arm64 || !proxied) throw new Error("a machine was not looked at");
  const kept = started.move();
  return {
    seen: { secureBoot, httpBoot, arm64, proxy: proxied },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Firmware rejects iPXE and says so on its console alone; then somebody starts the machine again. */
async function bootSecurely(hub: LabHub, machine: VirtualMachine, timeline: Timeline): Promise<void> {
  {
    await using _firstTry = machine.powerOn();
    await untilFileShows(machine.serialLog, /failed to load .*: Access Denied/, PATIENCE_MS);
  }
  timeline.say(machine.name, "the firmware rejected iPXE; the machine is started again");
  await bootUntilDiscovered(hub, machine);
}

async function bootUntilDiscovered(hub: LabHub, machine: VirtualMachine): Promise<void> {
  await using _running = machine.powerOn();
  const name = `d${machine.mac.replaceAll(":", "-")}`;
  await hub.drp("machines", "wait", name, "--for", "discovered", "--timeout", `${PATIENCE_MS / 1000}s`);
}

async function bootUntilConsoleShows(machine: VirtualMachine, pattern: RegExp): Promise<void> {
  await using _running = machine.powerOn();
  await untilFileShows(machine.serialLog, pattern, PATIENCE_MS);
}

interface LabNetwork extends AsyncDisposable {
  readonly namespace: Namespace;
  readonly folder: string;
}

/** @param start "10.78.0": the first three octets; ours is .1 */
async function openNetwork(label: string, start: string, parent: string): Promise<LabNetwork> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(parent, `${label}-`));
  const namespace = started.use(await createNamespace(label));
  await namespace.addBridge("br0", `${start}.1/24`);
  if (isOnPath("radvd")) started.use(await startRouter(namespace, folder));
  const kept = started.move();
  return { namespace, folder, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** dnsmasq as a site's router: on a host of its own beside ours, with addresses and nothing to boot. */
async function startAddressServer(lan: Namespace, folder: string): Promise<AsyncDisposable> {
  await using started = new AsyncDisposableStack();
  const programs = await fetchPrograms(
    ["dnsmasq-base"],
    "ProxyDHCP is not tested beside another DHCP server",
  );
  const router = started.use(await createNamespace("router"));
  await lan.ip("link", "add", "to-router", "type", "veth", "peer", "name", "lan", "netns", router.name);
  await lan.ip("link", "set", "to-router", "master", "br0", "up");
  await router.ip("addr", "add", "10.79.0.2/24", "dev", "lan");
  await router.ip("link", "set", "lan", "up");
  const files = ["leasefile", "pid-file", "log-facility"].map(name => join(folder, `dnsmasq.${name}`));
  const options = [
    ...["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=lan", "--user=root"],
    ...["--dhcp-range=10.79.0.100,10.79.0.199,255.255.255.0,12h", "--dhcp-option=3,10.79.0.2"],
    ...[`--dhcp-leasefile=${files[0]}`, `--pid-file=${files[1]}`, `--log-facility=${files[2]}`],
  ];
  started.use(
    startProcess([...router.enter, programs.find("dnsmasq"), ...options], {
      logFile: join(folder, "dnsmasq.output"),
      env: programs.env,
    }),
  );
  const kept = started.move();
  return { [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const OWN_ADDRESSES = [
  ...["site:", "  name: own", "  unknown: discover"],
  ...["dhcp:", "  interfaces: [br0]", "  subnets:"],
  ...["    - network: 10.78.0.0/24", "      pools: [10.78.0.100-10.78.0.199]", "      router: 10.78.0.1"],
];

const PROXY = [
  ...["site:", "  name: beside", "  unknown: discover"],
  ...["dhcp:", "  mode: proxy", "  interfaces: [br0]"],
];

function macOf(number: number): string {
  return `52:54:00:78:00:0${number}`;
}

function machine(name: string, firmware: VirtualMachine["firmware"], number: number) {
  return { name, firmware, mac: macOf(number) };
}
