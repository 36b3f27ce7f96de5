/** `drp site`: joins a box to a fleet, and serves the machines of its site with or without the hub in reach. */
import { randomBytes } from "node:crypto";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Logger } from "pino";
import packageJson from "../../../package.json" with { type: "json" };
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import { formatIpv4, UNSPECIFIED } from "../../core/ipv4.ts";
import { sqliteBindingFile } from "../../daemon/io/assets.ts";
import { openDataFolder } from "../../daemon/io/data-folder.ts";
import { loadSettings } from "../../daemon/io/load-settings.ts";
import { openLog } from "../../daemon/io/log.ts";
import { formatFailure, nextSignal, ownCommand } from "../../daemon/io/role-process.ts";
import { readServeFlags } from "../../daemon/serve-flags.ts";
import type { Settings } from "../../daemon/settings.ts";
import { decideSiteAddress } from "../../daemon/site-address.ts";
import { formatStartBanner } from "../../daemon/start-banner.ts";
import { HubClient } from "./io/hub-client.ts";
import { joinFleet } from "./io/join-fleet.ts";
import { type LineState, RemoteHubLink } from "./io/remote-hub-link.ts";
import { SiteImages } from "./io/site-images.ts";
import { readMembership, type SiteMembership, writeMembership } from "./io/site-membership.ts";
import { startSite } from "./io/start-site.ts";
import type { BootEvent } from "./view.ts";

const HELP = `Usage: drp site join TOKEN --hub https://HUB:8092 [--config FILE] [--data FOLDER]
       drp site run [--config FILE] [flags]

Joins this box to a fleet with the token of \`drp sites create\`; then serves the machines of its site.
The flags of run: drp site run --help
`;

/** @param args what follows `drp site` @returns exit code: 0 done, 1 failed, 2 wrong flags */
export async function runSite(args: readonly string[]): Promise<number> {
  const [verb, ...rest] = args;
  switch (verb) {
    case "join":
      return joinSite(rest);
    case "run":
      return runJoinedSite(rest);
    case "--help":
    case "-h":
      process.stdout.write(HELP);
      return 0;
    default:
      return wrong(verb === undefined ? "say join or run" : `there is no drp site ${verb}`);
  }
}

function wrong(reason: string): number {
  process.stderr.write(`drp site: ${reason}\n  → drp site --help\n`);
  return 2;
}

async function joinSite(args: readonly string[]): Promise<number> {
  let token: string | undefined;
  let flags: { hub?: string; config?: string; data?: string; help?: boolean };
  try {
    const text = { type: "string" } as const;
    const help = { type: "boolean", short: "h" } as const;
    const parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { hub: text, config: text, data: text, help },
    });
    [token] = parsed.positionals;
    flags = parsed.values;
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
  const { hub, help, ...settingFlags } = flags;
  if (help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (token === undefined) return wrong("join needs the token that `drp sites create` printed");
  if (hub === undefined) return wrong("join needs the hub: --hub https://HUB:8092");
  try {
    const membership = await joinWith(token, hub, loadSettings(settingFlags));
    process.stderr.write(`joined as site ${membership.siteName}\n  → drp site run\n`);
    return 0;
  } catch (error) {
    process.stderr.write(formatFailure("drp site join", error));
    return 1;
  }
}

async function joinWith(token: string, hubUrl: string, settings: Settings): Promise<SiteMembership> {
  process.umask(0o077);
  const folder = openDataFolder(settings.data, sqliteBindingFile());
  try {
    const joined = readMembership(folder.path);
    if (joined !== undefined) {
      throw new DrpError("intent.conflict", `${folder.path} belongs to site ${joined.siteName} already`, {
        advice: `Run it with \`drp site run\`; to join another fleet, remove ${join(folder.path, "site.json")} first.`,
      });
    }
    const { address, interfaces } = siteAddressOf(settings);
    // Machines of each network reach the site at its address there.
    const served = interfaces.filter(on => on.address !== UNSPECIFIED).map(on => formatIpv4(on.address));
    const names = [...new Set([address, ...served, ...settings.names])];
    const membership = await joinFleet({ token, hubUrl, names });
    writeMembership(folder.path, membership);
    return membership;
  } finally {
    folder.release();
  }
}

async function runJoinedSite(args: readonly string[]): Promise<number> {
  const command = readServeFlags(args, {
    command: "drp site run",
    summary: "Serves the machines of this site. Keys of the hub alone (api, site, siteChannel) are not used.",
  });
  if (command.kind === "help") {
    process.stdout.write(command.text);
    return 0;
  }
  if (command.kind === "wrong") return wrong(command.reason);
  try {
    const settings = loadSettings(command.flags);
    process.umask(0o077);
    const log = openLog(settings.log.level);
    const site = await startJoinedSite(settings, log);
    process.stderr.write(site.banner);
    const signal = await nextSignal();
    log.info(`${signal}: stopping`);
    await site.stop();
    return 0;
  } catch (error) {
    process.stderr.write(formatFailure("drp site run", error));
    return 1;
  }
}

interface RunningSite {
  readonly banner: string;
  stop(): Promise<void>;
}

/** @throws {DrpError} site.not-joined, data.locked, data.unwritable, port.in-use, port.forbidden, config.invalid */
async function startJoinedSite(settings: Settings, log: Logger): Promise<RunningSite> {
  await using started = new AsyncDisposableStack();
  const { address, interfaces, warnings } = siteAddressOf(settings);
  for (const warning of warnings) log.warn(warning);
  const folder = openDataFolder(settings.data, sqliteBindingFile());
  started.defer(() => folder.release());
  const membership = readMembership(folder.path);
  if (membership === undefined) {
    throw new DrpError("site.not-joined", `${folder.path} belongs to no fleet yet`, {
      advice: "Join first, with the token of `drp sites create`: drp site join TOKEN --hub https://HUB:8092",
    });
  }
  const { tls, caPem, hubUrl } = membership;
  const onError = (context: string, error: unknown) => log.error(`${context}: ${describeErrorChain(error)}`);
  const client = new HubClient({ url: hubUrl, caPem, tls });
  const dataFolder = join(folder.path, "site");
  const hub = await RemoteHubLink.open({
    hub: client,
    folder: dataFolder,
    site: membership,
    random: Math.random,
    onLine: state => logLine(log, hubUrl, state),
    onError,
  });
  started.defer(() => hub.stop());
  hub.start();
  const images = await SiteImages.open({
    hub: client,
    folder: join(folder.path, "images"),
    view: hub.view(),
    cacheBytes: settings.site.cacheBytes,
    clock: Date.now,
    uptime: () => performance.now(),
    random: Math.random,
    report: event => reportImage(hub, event, onError),
  });
  started.defer(() => images.stop());
  hub.onViewChanged(view => images.follow(view));
  // It may have changed since the images were opened.
  images.follow(hub.view());
  const site = await startSite({
    hub,
    address,
    bootPort: settings.boot.port,
    machinePort: settings.machineChannel.port,
    tftpPort: settings.tftp.port,
    dhcp: interfaces.length === 0 ? null : { ...settings.dhcp, interfaces },
    loader: settings.boot.loader,
    bootFiles: settings.boot.files,
    dataFolder,
    tls,
    caPem,
    findChunk: digest => images.findChunk(digest),
    signedManifest: digest => images.signedManifest(digest),
    bootProcessCommand: ownCommand("boot-process"),
    clock: Date.now,
    randomBytes,
    onError,
  });
  started.defer(() => site.stop());
  const banner = formatStartBanner({
    title: `drp ${packageJson.version} site ${membership.siteName} is running`,
    services: site.services(),
    facts: [
      ["hub", hubUrl],
      ["data", folder.path],
    ],
  });
  const running = started.move();
  return { banner, stop: () => running.disposeAsync() };
}

/** What happens to images is told to the hub, and is in the outbox as long as the line is down. */
function reportImage(
  hub: RemoteHubLink,
  event: BootEvent,
  onError: (context: string, error: unknown) => void,
): void {
  hub
    .report([{ kind: "image-event", at: Date.now(), event }])
    .catch(error => onError(`${event.kind} was not kept: ${event.summary}`, error));
}

function siteAddressOf({ dhcp }: Settings) {
  return decideSiteAddress(networkInterfaces(), dhcp);
}

function logLine(log: Logger, hubUrl: string, state: LineState): void {
  if (state.kind === "down") {
    log.warn(`the hub is out of reach, the site goes on alone: ${describeErrorChain(state.error)}`);
    return;
  }
  const dropped = state.droppedBootEvents > 0 ? `; ${state.droppedBootEvents} boot events were dropped` : "";
  log.info(`in touch with ${hubUrl}; ${state.waiting} report(s) waiting${dropped}`);
}
