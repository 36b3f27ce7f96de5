/** What drp.yaml may hold: one schema, from which keys, variables and flags get their names. */
import { z } from "zod";
import { dhcpSchema } from "./dhcp-settings.ts";
import { imageStoreSchema } from "./image-store-settings.ts";
import { sizeSchema } from "./size-setting.ts";

const port = z.int().min(0).max(65_535);
const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "lower-case letters, digits and dashes");

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** As drp.yaml is written. docs/config.md explains each key. */
export const configSchema = z.strictObject({
  data: z.string().min(1).optional(),
  names: z.array(z.string().min(1).max(253)).max(64).optional(),
  api: z.strictObject({ host: z.string().min(1).optional(), port: port.optional() }).optional(),
  boot: z
    .strictObject({
      port: port.optional(),
      files: z.string().min(1).optional(),
      loader: z.enum(["auto", "ipxe", "signed"]).optional(),
    })
    .optional(),
  machineChannel: z.strictObject({ port: port.optional() }).optional(),
  siteChannel: z.strictObject({ port: port.optional() }).optional(),
  tftp: z.strictObject({ port: port.optional() }).optional(),
  dhcp: dhcpSchema.optional(),
  site: z
    .strictObject({
      name: name.optional(),
      unknown: z.enum(["discover", "disk", "silent"]).optional(),
      cacheSize: sizeSchema.optional(),
    })
    .optional(),
  images: z
    .strictObject({
      store: imageStoreSchema.optional(),
      prune: z
        .strictObject({
          keep: z.int().min(1).max(1_000_000).optional(),
          olderThanDays: z.int().min(0).max(36_500).optional(),
        })
        .optional(),
    })
    .optional(),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).optional() }).optional(),
});

export interface SettingKey {
  /** "dhcp.subnets[].network" */
  readonly key: string;
  /** "list": more than one value. */
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
  if (bare instanceof z.ZodRecord) return [{ key: prefix, type: "list" }];
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
