/** `drp serve`: wires store, images, API and the local site together, and takes them apart in order. */
import { randomBytes } from "node:crypto";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import packageJson from "../../package.json" with { type: "json" };
import { startSiteChannel } from "../agent/hub/io/site-channel.ts";
import { SiteDesk } from "../agent/hub/io/site-desk.ts";
import { startSite } from "../agent/site/io/start-site.ts";
import { adoptUnrecordedImages } from "../api/adopt-unrecorded-images.ts";
import { createApiApp } from "../api/io/api-app.ts";
import { startApiServer } from "../api/io/api-server.ts";
import type { Status } from "../api/wire.ts";
import { describeErrorChain } from "../core/errors.ts";
import { DeltaDesk } from "../images/io/delta-desk.ts";
import { openRegistry } from "../images/io/registry.ts";
import { Uploads } from "../images/io/uploads.ts";
import { startReconciler } from "../rollout/io/reconciler.ts";
import { openSqliteStore } from "../store/open-sqlite.ts";
import type { EventRecord } from "../store/ports.ts";
import { createAddressDesk } from "./address-desk.ts";
import { readDashboardFile, sqliteBindingFile } from "./io/assets.ts";
import { startAutoPrune } from "./io/auto-prune.ts";
import { openCertificateAuthority } from "./io/ca.ts";
import { openDataFolder } from "./io/data-folder.ts";
import { ensureAdminToken, ensureLocalSite } from "./io/first-start.ts";
import { hostNames } from "./io/host-names.ts";
import { keepImageHistory } from "./io/keep-image-history.ts";
import { loadSettings } from "./io/load-settings.ts";
import { openLog } from "./io/log.ts";
import { formatFailure, nextSignal, ownCommand } from "./io/role-process.ts";
import { readServeFlags } from "./serve-flags.ts";
import type { Settings } from "./settings.ts";
import { decideSiteAddress } from "./site-address.ts";
import { formatStartBanner } from "./start-banner.ts";

export interface ServeDeps {
  readonly log: Logger;
  /** How this executable starts its boot process: ["drp", "boot-process"]. */
  readonly bootProcessCommand: readonly [program: string, ...args: string[]];
  /** Likewise for each delta between two images. */
  readonly deltaProcessCommand: readonly [program: string, ...args: string[]];
}

/** Deltas between the releases of years; the oldest that no site asks for go first, and can be made again. */
const MAX_DELTA_BYTES = 16 * 1024 ** 3;

export interface RunningHub {
  readonly apiPort: number;
  readonly status: () => Status;
  readonly dataFolder: string;
  readonly adminTokenFile: string;
  stop(): Promise<void>;
}

/**
 * Starts the hub. When a part cannot start, those that had are stopped again.
 *
 * @throws {DrpError} data.locked, data.unwritable, storage.full, port.in-use, port.forbidden, config.invalid
 */
export async function serve(
  settings: Settings,
  { log, bootProcessCommand, deltaProcessCommand }: ServeDeps,
): Promise<RunningHub> {
  await using started = new AsyncDisposableStack();
  const clock = Date.now;
  const startedAt = clock();
  const { address, interfaces, warnings } = decideSiteAddress(networkInterfaces(), settings.dhcp);
  for (const warning of warnings) log.warn(warning);
  const nativeBinding = sqliteBindingFile();
  const folder = openDataFolder(settings.data, nativeBinding);
  started.defer(() => folder.release());
  const store = await openSqliteStore({
    file: join(folder.path, "drp.db"),
    ...(nativeBinding === undefined ? {} : { nativeBinding }),
  });
  started.defer(() => store.close());
  store.onEvents(events => {
    for (const event of events) logEvent(log, event);
  });
  const ca = await openCertificateAuthority(folder.path, hostNames(settings.names), startedAt);
  const registry = await openRegistry(join(folder.path, "images"), settings.images.store);
  if (settings.images.prune !== null) {
    const onPruneError = (error: unknown) => log.error(`pruning images: ${describeErrorChain(error)}`);
    started.defer(startAutoPrune({ store, registry, clock }, settings.images.prune, onPruneError));
  }
  const adoption = adoptUnrecordedImages({ store, registry, clock }).catch((error: unknown) =>
    log.error(`images without a record: ${describeErrorChain(error)}`),
  );
  started.defer(() => adoption);
  const uploads = await Uploads.open(join(folder.path, "uploads"), registry, clock);
  const adminTokenFile = await ensureAdminToken(store, folder.path, randomBytes, startedAt);
  const localSite = await ensureLocalSite(store, settings.site, startedAt);

  const onError = (context: string, error: unknown) => log.error(`${context}: ${describeErrorChain(error)}`);
  const site = await startSite({
    hub: await SiteDesk.open(store, localSite, startedAt),
    address,
    bootPort: settings.boot.port,
    machinePort: settings.machineChannel.port,
    tftpPort: settings.tftp.port,
    dhcp: interfaces.length === 0 ? null : { ...settings.dhcp, interfaces },
    loader: settings.boot.loader,
    bootFiles: settings.boot.files,
    dataFolder: join(folder.path, "site"),
    tls: ca.serverTls,
    caPem: ca.caPem,
    findChunk: digest => registry.findChunk(digest),
    signedManifest: digest => registry.manifest(digest),
    bootProcessCommand,
    clock,
    randomBytes,
    onError,
  });
  started.defer(() => site.stop());

  const deltas = await DeltaDesk.open({
    dir: join(folder.path, "images", "deltas"),
    registry,
    command: deltaProcessCommand,
    maxBytes: MAX_DELTA_BYTES,
    clock,
    onError,
  });
  started.defer(() => deltas.stop());
  const history = keepImageHistory({ store, registry, deltaProcessCommand, clock, onError });
  started.defer(() => history.stop());
  const siteChannel = await startSiteChannel({
    store,
    registry,
    deltas,
    port: settings.siteChannel.port,
    tls: ca.serverTls,
    caPem: ca.caPem,
    clock,
    onError,
  });
  started.defer(() => siteChannel.stop());
  const reconciler = startReconciler({
    store,
    clock,
    randomBytes,
    onError: error => onError("rollouts", error),
  });
  started.defer(() => reconciler.stop());

  const stopping = new AbortController();
  const status = (): Status => ({
    version: packageJson.version,
    startedAt,
    services: [
      { name: "api", state: "on", detail: `https://${settings.api.host ?? "localhost"}:${api.port}` },
      ...site.services(),
      { name: "site-channel", state: "on", detail: `https://localhost:${siteChannel.port}` },
    ],
  });
  const app = createApiApp({
    store,
    registry,
    uploads,
    addresses: createAddressDesk(
      site.askBootProcess,
      settings.dhcp.subnets,
      interfaces.map(served => served.address),
    ),
    status,
    ca,
    siteChannelPort: () => siteChannel.port,
    clock,
    randomBytes,
    version: packageJson.version,
    readDashboardFile,
    stopping: stopping.signal,
    onError: (error, request) => onError(request, error),
  });
  const { host, port } = settings.api;
  const api = await startApiServer({ app, tls: ca.serverTls, port, ...(host === null ? {} : { host }) });
  started.defer(() => api.stop());
  started.defer(() => stopping.abort());

  const running = started.move();
  return {
    apiPort: api.port,
    status,
    dataFolder: folder.path,
    adminTokenFile,
    stop: () => running.disposeAsync(),
  };
}

function logEvent(log: Logger, { kind, severity, summary, mac }: EventRecord): void {
  const facts = mac === null ? { kind } : { kind, mac };
  if (severity === "info") log.info(facts, summary);
  else log.warn(facts, severity === "alarm" ? `ALARM: ${summary}` : summary);
}

/**
 * Runs the hub until SIGINT or SIGTERM.
 *
 * @param args what follows `drp serve`
 * @returns exit code: 0 stopped, 1 could not start, 2 wrong flags
 */
export async function runServe(args: readonly string[]): Promise<number> {
  const command = readServeFlags(args, {
    command: "drp serve",
    summary: "Runs the hub: API, dashboard, images, and a local site.",
  });
  if (command.kind === "help") {
    process.stdout.write(command.text);
    return 0;
  }
  if (command.kind === "wrong") {
    process.stderr.write(`drp serve: ${command.reason}\n  → drp serve --help\n`);
    return 2;
  }
  try {
    const settings = loadSettings(command.flags);
    // What the hub writes is for its own user, also in a data folder that somebody else made.
    process.umask(0o077);
    const log = openLog(settings.log.level);
    const hub = await serve(settings, {
      log,
      bootProcessCommand: ownCommand("boot-process"),
      deltaProcessCommand: ownCommand("delta-process"),
    });
    const { version, services } = hub.status();
    process.stderr.write(
      formatStartBanner({
        title: `drp ${version} is running`,
        services: services.map(service =>
          service.name === "api" ? { ...service, name: "API, dashboard" } : service,
        ),
        facts: [
          ["data", hub.dataFolder],
          ["admin token", `${hub.adminTokenFile} (signs in to the dashboard; the CLI on this host finds it)`],
        ],
      }),
    );
    const signal = await nextSignal();
    log.info(`${signal}: stopping`);
    await hub.stop();
    return 0;
  } catch (error) {
    process.stderr.write(formatFailure("drp serve", error));
    return 1;
  }
}
