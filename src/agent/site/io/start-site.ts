/**
 * Runs a site: DHCP and TFTP in their own process, boot HTTP, and the machine channel. What a machine is told is the machine
 * desk's to decide; this file carries questions and answers between the doors.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DrpError } from "../../../core/errors.ts";
import type { RandomBytes } from "../../../core/ids.ts";
import { type Ipv4, parseIpv4 } from "../../../core/ipv4.ts";
import type { MacAddress } from "../../../core/mac.ts";
import type { Clock } from "../../../core/time.ts";
import type { BootEvent } from "../../../dhcp/boot-event.ts";
import type { ClientClass } from "../../../dhcp/client-class.ts";
import type { Subnet } from "../../../dhcp/subnet.ts";
import type {
  BootService,
  BootSettings,
  LoaderChoice,
  ParentQuestion,
  ParentQuestions,
  ServiceState,
} from "../../../pxe/boot-process-messages.ts";
import type { BootAnswer, LoaderFiles } from "../../../pxe/decide.ts";
import { startBootHttp } from "../../../pxe/io/boot-http.ts";
import { LOADER_FILES, SERVED_LOADERS } from "../../../pxe/loader-files.ts";
import { closeServer, listenOnPort } from "../../io/channel-server.ts";
import type { SignedManifest } from "../../protocol.ts";
import { MachineDesk } from "../machine-desk.ts";
import type { HubLink, SiteView } from "../view.ts";
import { BootScripts } from "./boot-scripts.ts";
import { FleetInitrd } from "./fleet-initrd.ts";
import { createMachineChannel } from "./machine-channel.ts";
import { SupervisedBootProcess } from "./supervised-boot-process.ts";

export interface SiteOptions {
  readonly hub: HubLink;
  /** Where this site says that it is; a machine is told the address at which it reached us, where that is known. */
  readonly address: string;
  readonly bootPort: number;
  readonly machinePort: number;
  readonly tftpPort: number;
  /** Null: this site answers no DHCP. */
  readonly dhcp: SiteDhcp | null;
  readonly loader: LoaderChoice;
  /** Holds vmlinuz, ramdisk.img and loaders/; made by `npm run build`. */
  readonly bootFiles: string;
  /** Leases and the fleet's ramdisk are kept here. */
  readonly dataFolder: string;
  readonly tls: { readonly key: string; readonly cert: string };
  /** The fleet's CA: with the view's key lists, whom the ramdisk believes. */
  readonly caPem: string;
  readonly findChunk: (digestHex: string) => Promise<string | undefined>;
  readonly signedManifest: (digest: string) => Promise<SignedManifest | undefined>;
  /** How this executable starts its boot process: ["drp", "boot-process"]. */
  readonly bootProcessCommand: readonly [program: string, ...args: string[]];
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** Failures that no machine and no operator is there to be told. */
  readonly onError: (context: string, error: unknown) => void;
}

export interface SiteDhcp {
  readonly mode: "server" | "proxy";
  /** 0.0.0.0: it has no address yet. */
  readonly interfaces: readonly { readonly name: string; readonly address: Ipv4 }[];
  readonly ports: { readonly dhcp: number; readonly proxyDhcp: number };
  readonly subnets: readonly Subnet[];
  readonly classes: readonly ClientClass[];
}

export interface SiteService {
  readonly name: "boot-http" | "machine-channel" | "boot-files" | BootService;
  readonly state: "on" | "off";
  /** The address that it listens on, or why it is off and what to do. */
  readonly detail: string;
}

export interface Site {
  readonly services: () => readonly SiteService[];
  /** @throws {DrpError} internal, while the boot process is being started again */
  readonly askBootProcess: <Q extends ParentQuestion>(
    question: Q,
    ask: ParentQuestions[Q]["ask"],
  ) => Promise<ParentQuestions[Q]["answer"]>;
  readonly stop: () => Promise<void>;
}

/** @throws {DrpError} port.in-use, port.forbidden for boot HTTP and the machine channel */
export async function startSite(options: SiteOptions): Promise<Site> {
  await using started = new AsyncDisposableStack();
  const { hub, bootFiles } = options;
  const desk = new MachineDesk(options);
  const initrd = join(options.dataFolder, "boot", "initrd.img");
  const haveBootFiles = existsSync(join(bootFiles, "ramdisk.img"));
  await mkdir(options.dataFolder, { recursive: true });

  const ramdisk = haveBootFiles ? join(bootFiles, "ramdisk.img") : undefined;
  const fleetInitrd = await FleetInitrd.write(initrd, ramdisk, options.caPem, hub.view().keyLists);

  const report = (mac: MacAddress | null, event: BootEvent) => {
    hub
      .report([{ kind: "boot-event", at: options.clock(), mac, event }])
      .catch(error =>
        options.onError(`a boot event (${event.kind}) of ${mac ?? "the site"} was not kept`, error),
      );
  };

  const channel = createMachineChannel({
    desk,
    tls: options.tls,
    signedManifest: options.signedManifest,
    onError: (error, route, remote) => options.onError(`${route} from ${remote}`, error),
  });
  await listenOnPort(channel, options.machinePort, {
    what: "the machine channel",
    setting: "machineChannel.port",
  });
  started.defer(() => closeServer(channel));

  const scripts = new BootScripts({
    ...options,
    desk,
    dhcpMode: options.dhcp?.mode ?? "off",
    macOf: remoteAddress => bootProcess.ask("mac-of", { remoteAddress }),
    onEvent: report,
  });
  const bootProcess: SupervisedBootProcess = started.use(
    new SupervisedBootProcess({
      command: options.bootProcessCommand,
      config: {
        interfaces: options.dhcp?.interfaces ?? [{ name: "site", address: siteAddress(options) }],
        mode: options.dhcp?.mode ?? "off",
        ports: { ...(options.dhcp?.ports ?? DHCP_PORTS), tftp: options.tftpPort },
        leaseJournal: join(options.dataFolder, "leases.journal"),
        settings: bootSettings(options, initrd, hub.view()),
      },
      onEvent: report,
      scriptFor: question => scripts.grubScript(question),
      onError: options.onError,
    }),
  );
  const bootHttp = await startBootHttp({
    host: "0.0.0.0",
    port: options.bootPort,
    findFile: path => bootFile(path, bootFiles, initrd),
    findChunk: options.findChunk,
    scriptFor: (mac, remoteAddress, localAddress) => scripts.plan(mac, remoteAddress, localAddress),
    onEvent: (mac, remoteAddress, event) => void reportFetch(bootProcess, report, mac, remoteAddress, event),
    clock: options.clock,
  });
  started.defer(() => bootHttp.close());
  await bootProcess.start();
  hub.onViewChanged(view => {
    bootProcess.configure(bootSettings(options, initrd, view));
    fleetInitrd
      .believe(view.keyLists)
      .catch(error => options.onError("machines still get the key lists of before", error));
  });

  const running = started.move();
  return {
    services: () => [
      { name: "boot-http", state: "on", detail: `http://${options.address}:${options.bootPort}` },
      { name: "machine-channel", state: "on", detail: `https://${options.address}:${options.machinePort}` },
      haveBootFiles
        ? { name: "boot-files", state: "on", detail: bootFiles }
        : {
            name: "boot-files",
            state: "off",
            detail: `${bootFiles} has no ramdisk.img; make it with: npm run build`,
          },
      ...bootProcess.services.map(service =>
        service.service === "dhcp" && options.dhcp === null ? DHCP_OFF : describeService(service),
      ),
    ],
    askBootProcess: (question, ask) => bootProcess.ask(question, ask),
    stop: () => running.disposeAsync(),
  };
}

/** Of a site without DHCP: nothing is bound to them. */
const DHCP_PORTS = { dhcp: 67, proxyDhcp: 4011 } as const;

const DHCP_OFF = {
  name: "dhcp",
  state: "off",
  detail: "no subnet to give addresses from; add dhcp.subnets to the configuration (docs/config.md)",
} as const;

/** A request for a file does not say whose it is; the address it comes from does. */
async function reportFetch(
  bootProcess: SupervisedBootProcess,
  report: (mac: MacAddress | null, event: BootEvent) => void,
  said: MacAddress | null,
  remoteAddress: string,
  event: BootEvent,
): Promise<void> {
  // Null while the boot process is being started again: the event is the site's then.
  const mac = said ?? (await bootProcess.ask("mac-of", { remoteAddress }).catch(() => null));
  const path = event.kind === "http.done" ? String(event.facts.path) : "";
  if (mac !== null && path.startsWith(LOADERS_PATH)) {
    bootProcess.tellLoaderSent(mac, path.slice(LOADERS_PATH.length));
  }
  report(mac, event);
}

const LOADERS_PATH = "/loaders/";

function bootFile(urlPath: string, bootFiles: string, initrd: string): string | undefined {
  if (urlPath === "/ramdisk/vmlinuz") return join(bootFiles, "vmlinuz");
  if (urlPath === "/ramdisk/initrd.img") return initrd;
  const loader = SERVED_LOADERS.find(name => urlPath === `${LOADERS_PATH}${name}`);
  return loader === undefined ? undefined : join(bootFiles, "loaders", loader);
}

/** A site offers the loaders whose files it has: a build that had no network has no signed ones for arm64. */
function loadersIn(folder: string): LoaderFiles {
  const present = (files: LoaderFiles["ipxe"]) =>
    Object.fromEntries(Object.entries(files).filter(([, name]) => existsSync(join(folder, name))));
  return { ipxe: present(LOADER_FILES.ipxe), signed: present(LOADER_FILES.signed) };
}

/** @param initrd the fleet's */
function bootSettings(options: SiteOptions, initrd: string, view: SiteView): BootSettings {
  const loaders = join(options.bootFiles, "loaders");
  return {
    subnets: options.dhcp?.subnets ?? [],
    classes: options.dhcp?.classes ?? [],
    loader: options.loader,
    bootPort: options.bootPort,
    loaders: loadersIn(loaders),
    tftpFiles: new Map([
      ...SERVED_LOADERS.map(name => [name, join(loaders, name)] as const),
      ["ramdisk/vmlinuz", join(options.bootFiles, "vmlinuz")],
      ["ramdisk/initrd.img", initrd],
    ]),
    bootAnswers: new Map(
      view.machines.flatMap(({ macs }) => macs.map(mac => [mac, { kind: "boot" } as BootAnswer])),
    ),
    unknown:
      view.unknown === "silent"
        ? { kind: "silent", reason: "unknown machine, and the site does not answer those" }
        : { kind: "boot" },
  };
}

function siteAddress({ address }: SiteOptions): Ipv4 {
  const parsed = parseIpv4(address);
  if (parsed === undefined)
    throw new DrpError("config.invalid", `the site's address ${address} is no IPv4 address`);
  return parsed;
}

function describeService(state: ServiceState): SiteService {
  if (state.state === "on") return { name: state.service, state: "on", detail: state.detail };
  const { message, advice } = state.error;
  return { name: state.service, state: "off", detail: advice === null ? message : `${message} → ${advice}` };
}
