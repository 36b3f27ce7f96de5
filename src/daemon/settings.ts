/**
 * The hub's settings, in three steps: what stands in drp.yaml, what DRP_* variables and flags lay over it, and what the
 * program uses, with every default decided. Reads no file and no environment itself.
 */
import { type Document, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import type { UnknownPolicy } from "../agent/site/view.ts";
import { DrpError } from "../core/errors.ts";
import type { Subnet } from "../dhcp/subnet.ts";
import { decideSubnet, type SubnetProblem, subnetSchema } from "./subnet-settings.ts";

const port = z.int().min(0).max(65_535);
const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "lower-case letters, digits and dashes");
/** Interfaces have at most 15 characters (Linux IFNAMSIZ). */
const interfaceName = z.string().regex(/^[^\s/]{1,15}$/, "no interface's name");

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** As drp.yaml is written. docs/config.md explains each key. */
export const configSchema = z.strictObject({
  data: z.string().min(1).optional(),
  names: z.array(z.string().min(1).max(253)).max(64).optional(),
  api: z.strictObject({ host: z.string().min(1).optional(), port: port.optional() }).optional(),
  boot: z.strictObject({ port: port.optional(), files: z.string().min(1).optional() }).optional(),
  machineChannel: z.strictObject({ port: port.optional() }).optional(),
  tftp: z.strictObject({ port: port.optional() }).optional(),
  dhcp: z
    .strictObject({
      interfaces: z.array(interfaceName).max(1, "one interface for now").optional(),
      subnets: z.array(subnetSchema).max(64).optional(),
    })
    .optional(),
  site: z
    .strictObject({ name: name.optional(), unknown: z.enum(["discover", "disk", "silent"]).optional() })
    .optional(),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).optional() }).optional(),
});
export type Config = z.output<typeof configSchema>;

/** As the program uses them. */
export interface Settings {
  readonly data: string;
  /** DNS names and addresses of the hub beyond those that it finds itself. */
  readonly names: readonly string[];
  /** Null: every address of this host. */
  readonly api: { readonly host: string | null; readonly port: number };
  readonly boot: { readonly port: number; readonly files: string };
  readonly machineChannel: { readonly port: number };
  readonly tftp: { readonly port: number };
  /** DHCP is off while there is no subnet. Null: the interface that has an address in a subnet. */
  readonly dhcp: { readonly interfaceName: string | null; readonly subnets: readonly Subnet[] };
  /** Null: what the store says, `discover` at first. */
  readonly site: { readonly name: string; readonly unknown: UnknownPolicy | null };
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] };
}

export interface SettingsInput {
  /** Undefined when there is no configuration file. */
  readonly file: { readonly path: string; readonly text: string } | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By their names without the dashes: { "api-port": "9000" }. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** Of this host: where data goes, and where the boot files lie. */
  readonly defaults: { readonly data: string; readonly bootFiles: string };
}

/** @throws {DrpError} config.invalid naming every mistake with its file and line, its variable or its flag */
export function decideSettings(input: SettingsInput): Settings {
  const source = readFile(input.file);
  const overlays = readOverlays(input);
  const merged = merge(source.tree, overlays);
  const parsed = configSchema.safeParse(merged);
  const where = (path: readonly PropertyKey[]) =>
    overlays.find(overlay => overlay.key === formatKey(path))?.from ?? source.where(path);
  if (!parsed.success) {
    throw invalid(
      parsed.error.issues.flatMap(describeIssue).map(({ path, text }) => `${where(path)}: ${text}`),
    );
  }
  const config = parsed.data;
  const { subnets, problems } = decideSubnets(config);
  if (problems.length > 0) {
    throw invalid(problems.map(({ path, reason }) => `${where(path)}: ${formatKey(path)}: ${reason}`));
  }
  return {
    data: config.data ?? input.defaults.data,
    names: config.names ?? [],
    api: { host: config.api?.host ?? null, port: config.api?.port ?? 8092 },
    boot: { port: config.boot?.port ?? 8091, files: config.boot?.files ?? input.defaults.bootFiles },
    machineChannel: { port: config.machineChannel?.port ?? 8443 },
    tftp: { port: config.tftp?.port ?? 69 },
    dhcp: { interfaceName: config.dhcp?.interfaces?.[0] ?? null, subnets },
    site: { name: config.site?.name ?? "local", unknown: config.site?.unknown ?? null },
    log: { level: config.log?.level ?? "info" },
  };
}

function decideSubnets(config: Config): { subnets: Subnet[]; problems: SubnetProblem[] } {
  const subnets: Subnet[] = [];
  const problems: SubnetProblem[] = [];
  for (const [index, written] of (config.dhcp?.subnets ?? []).entries()) {
    const decided = decideSubnet(written, subnets);
    if (decided.kind === "subnet") subnets.push(decided.subnet);
    else {
      const within = decided.problems.map(({ path, reason }) => ({
        path: ["dhcp", "subnets", index, ...path],
        reason,
      }));
      problems.push(...within);
    }
  }
  return { subnets, problems };
}

interface ConfigSource {
  readonly tree: Record<string, unknown>;
  /** "drp.yaml:7" */
  where(path: readonly PropertyKey[]): string;
}

function readFile(file: SettingsInput["file"]): ConfigSource {
  if (file === undefined) return { tree: {}, where: () => "configuration" };
  const lineCounter = new LineCounter();
  const document = parseDocument(file.text, { lineCounter });
  if (document.errors.length > 0) {
    const lines = document.errors.map(error => {
      // The library's message goes on with a drawing of the line.
      const reason = error.message.split("\n")[0]?.replace(/ at line \d+.*$/, "");
      return `${file.path}:${lineCounter.linePos(error.pos[0]).line}: ${reason}`;
    });
    throw invalid(lines);
  }
  const tree: unknown = document.toJS() ?? {};
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) {
    throw invalid([`${file.path}:1: the file must hold keys and values`]);
  }
  return {
    tree: tree as Record<string, unknown>,
    where: path => `${file.path}:${lineOf(document, lineCounter, path)}`,
  };
}

/** Of the key itself, or of the nearest thing around it that is there. */
function lineOf(document: Document.Parsed, lineCounter: LineCounter, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const offset = offsetOf(document, path.slice(0, length));
    if (offset !== undefined) return lineCounter.linePos(offset).line;
  }
  return 1;
}

interface YamlNode {
  readonly range?: readonly number[] | null;
  readonly items?: readonly { readonly key?: { readonly value?: unknown } & YamlNode }[];
}

function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number | undefined {
  const last = path.at(-1);
  const parent = (
    path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  ) as YamlNode | null;
  const pair = parent?.items?.find?.(item => item.key !== undefined && item.key.value === last);
  const node = pair?.key ?? (document.getIn(path, true) as YamlNode | null | undefined);
  return node?.range?.[0];
}

export interface SettingKey {
  /** "dhcp.subnets[].network" */
  readonly key: string;
  readonly type: "text" | "number" | "list";
}

/** Every key that drp.yaml may hold, in the order of the schema. */
export function listSettingKeys(schema: z.ZodType = configSchema, prefix = ""): SettingKey[] {
  const bare = schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
  if (bare instanceof z.ZodObject) {
    const entries = Object.entries<z.ZodType>(bare.shape);
    return entries.flatMap(([key, value]) =>
      listSettingKeys(value, prefix === "" ? key : `${prefix}.${key}`),
    );
  }
  if (bare instanceof z.ZodArray) {
    const element = bare.element as z.ZodType;
    if (element instanceof z.ZodObject) return listSettingKeys(element, `${prefix}[]`);
    return [{ key: prefix, type: "list" }];
  }
  return [{ key: prefix, type: bare instanceof z.ZodNumber ? "number" : "text" }];
}

/** Keys with a variable and a flag: single values outside lists. */
export function overlayKeys(): SettingKey[] {
  return listSettingKeys().filter(({ key, type }) => type !== "list" && !key.includes("[]"));
}

/** "machineChannel.port" → "machine-channel-port" */
export function flagOf(key: string): string {
  return key.replaceAll(".", "-").replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

/** "machineChannel.port" → "DRP_MACHINE_CHANNEL_PORT" */
export function variableOf(key: string): string {
  return `DRP_${flagOf(key).replaceAll("-", "_").toUpperCase()}`;
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
  for (const { key, value } of overlays) {
    const [first = "", second] = key.split(".");
    if (second === undefined) merged[first] = value;
    else merged[first] = { ...(merged[first] as object | undefined), [second]: value };
  }
  return merged;
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

function invalid(mistakes: readonly string[]): DrpError {
  return new DrpError("config.invalid", mistakes.join("\n"), {
    advice:
      "Every key is explained in docs/config.md; `drp config check` reads the configuration without starting.",
    facts: { mistakes: mistakes.length },
  });
}
