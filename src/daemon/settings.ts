/**
 * The hub's settings, in three steps: what stands in drp.yaml, what DRP_* variables and flags lay over it, and what the
 * program uses, with every default decided. Reads no file and no environment itself.
 */
import type { z } from "zod";
import type { UnknownPolicy } from "../agent/site/view.ts";
import type { RetentionRule } from "../images/retention.ts";
import type { ImageStoreSettings } from "../images/store-settings.ts";
import type { LoaderChoice } from "../pxe/boot-process-messages.ts";
import { configError } from "./config-error.ts";
import { type ConfigFile, readConfigFile } from "./config-file.ts";
import { configSchema, flagOf, type LOG_LEVELS, overlayKeys, variableOf } from "./config-keys.ts";
import { type DhcpSettings, decideDhcpSettings } from "./dhcp-settings.ts";
import { decideImageStore } from "./image-store-settings.ts";
import type { SettingProblem } from "./setting-problem.ts";
import { readSize } from "./size-setting.ts";

/** As the program uses them. */
export interface Settings {
  readonly data: string;
  /** DNS names and addresses of the hub beyond those that it finds itself. */
  readonly names: readonly string[];
  /** Null: every address of this host. */
  readonly api: { readonly host: string | null; readonly port: number };
  readonly boot: { readonly port: number; readonly files: string; readonly loader: LoaderChoice };
  readonly machineChannel: { readonly port: number };
  readonly siteChannel: { readonly port: number };
  readonly tftp: { readonly port: number };
  readonly dhcp: DhcpSettings;
  /** Null: what the store says, `discover` at first. */
  readonly site: {
    readonly name: string;
    readonly unknown: UnknownPolicy | null;
    /** Of the images that `drp site run` keeps, in bytes; null: as much as its disk holds. */
    readonly cacheBytes: number | null;
  };
  readonly images: {
    readonly store: ImageStoreSettings;
    /** After each push; null: images go only when somebody removes them. */
    readonly prune: RetentionRule | null;
  };
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] };
}

export interface SettingsInput {
  /** Undefined when there is no configuration file. */
  readonly file: ConfigFile | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By their names without the dashes: { "api-port": "9000" }. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** Of this host: where data goes, and where the boot files lie. */
  readonly defaults: { readonly data: string; readonly bootFiles: string };
}

/** @throws {DrpError} config.invalid naming every mistake with its file and line, its variable or its flag */
export function decideSettings(input: SettingsInput): Settings {
  const source = readConfigFile(input.file);
  const overlays = readOverlays(input);
  const merged = merge(source.tree, overlays);
  const parsed = configSchema.safeParse(merged);
  const where = (path: readonly PropertyKey[]) =>
    overlays.find(overlay => overlay.key === formatKey(path))?.from ?? source.where(path);
  if (!parsed.success) {
    throw configError(
      parsed.error.issues.flatMap(describeIssue).map(({ path, text }) => `${where(path)}: ${text}`),
    );
  }
  const config = parsed.data;
  const { dhcp, problems: dhcpProblems } = decideDhcpSettings(config.dhcp);
  const { store, problems: storeProblems } = decideImageStore(config.images?.store);
  const problems = [...below(["dhcp"], dhcpProblems), ...below(["images", "store"], storeProblems)];
  if (problems.length > 0) {
    throw configError(problems.map(({ path, reason }) => `${where(path)}: ${formatKey(path)}: ${reason}`));
  }
  return {
    data: config.data ?? input.defaults.data,
    names: config.names ?? [],
    api: { host: config.api?.host ?? null, port: config.api?.port ?? 8092 },
    boot: {
      port: config.boot?.port ?? 8091,
      files: config.boot?.files ?? input.defaults.bootFiles,
      loader: config.boot?.loader ?? "auto",
    },
    machineChannel: { port: config.machineChannel?.port ?? 8443 },
    siteChannel: { port: config.siteChannel?.port ?? 8444 },
    tftp: { port: config.tftp?.port ?? 69 },
    dhcp,
    site: {
      name: config.site?.name ?? "local",
      unknown: config.site?.unknown ?? null,
      cacheBytes: readSize(config.site?.cacheSize),
    },
    images: { store, prune: decidePrune(config.images?.prune) },
    log: { level: config.log?.level ?? "info" },
  };
}

/** Either key turns it on. */
function decidePrune(
  prune: { readonly keep?: number | undefined; readonly olderThanDays?: number | undefined } | undefined,
): RetentionRule | null {
  if (prune?.keep === undefined && prune?.olderThanDays === undefined) return null;
  return { keepNewest: prune.keep ?? 3, keepForMs: (prune.olderThanDays ?? 0) * DAY_MS };
}

const DAY_MS = 86_400_000;

function below(section: readonly string[], problems: readonly SettingProblem[]): SettingProblem[] {
  return problems.map(({ path, reason }) => ({ path: [...section, ...path], reason }));
}

interface Overlay {
  readonly key: string;
  readonly value: string | number;
  /** "DRP_API_PORT" or "--api-port" */
  readonly from: string;
}

/** Flags win over variables. Variables that are not ours are left alone: Kubernetes sets some for a service named drp. */
function readOverlays({ env, flags }: SettingsInput): Overlay[] {
  return overlayKeys().flatMap(({ key, type }) => {
    const flag = flags[flagOf(key)];
    const text = flag ?? env[variableOf(key)];
    if (text === undefined) return [];
    const value = type === "number" && /^\d+$/.test(text) ? Number(text) : text;
    return [{ key, value, from: flag === undefined ? variableOf(key) : `--${flagOf(key)}` }];
  });
}

function merge(tree: Record<string, unknown>, overlays: readonly Overlay[]): Record<string, unknown> {
  const merged = structuredClone(tree);
  for (const { key, value } of overlays) setIn(merged, key.split("."), value);
  return merged;
}

/** What stands in the way is replaced: the schema has refused it, or the overlay means it. */
function setIn(tree: Record<string, unknown>, path: readonly string[], value: string | number): void {
  const [first = "", ...rest] = path;
  if (rest.length === 0) {
    tree[first] = value;
    return;
  }
  const below = { ...(tree[first] as Record<string, unknown> | undefined) };
  setIn(below, rest, value);
  tree[first] = below;
}

function describeIssue(issue: z.core.$ZodIssue): { path: PropertyKey[]; text: string }[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map(key => {
      const path = [...issue.path, key];
      return { path, text: `${formatKey(path)}: there is no such key` };
    });
  }
  return [{ path: issue.path, text: `${formatKey(issue.path)}: ${issue.message}` }];
}

/** "dhcp.subnets[0].network" */
function formatKey(path: readonly PropertyKey[]): string {
  return path
    .map(key => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
}
