/** The section `images.store` of drp.yaml: whether images lie on this host's disk or in an S3-compatible store. */
import { z } from "zod";
import type { ImageStoreSettings } from "../images/store-settings.ts";
import type { SettingProblem } from "./setting-problem.ts";
import { readSize, sizeSchema } from "./size-setting.ts";

export const imageStoreSchema = z.strictObject({
  kind: z.enum(["folder", "s3"]).optional(),
  endpoint: z.url({ protocol: /^https?$/, error: "an address as https://s3.example.com" }).optional(),
  region: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,63}$/, "letters, digits and dashes")
    .optional(),
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "3 to 63 lower-case letters, digits, dots and dashes")
    .optional(),
  prefix: z
    .string()
    .regex(
      /^([A-Za-z0-9._-]+\/)*[A-Za-z0-9._-]*$/,
      "letters, digits, dots, dashes and slashes, none in front",
    )
    .max(256)
    .optional(),
  cacheSize: sizeSchema.optional(),
  credentialsFile: z.string().min(1).optional(),
});
type WrittenStore = z.output<typeof imageStoreSchema>;

/** Enough for a handful of images on their way to their sites. */
const DEFAULT_CACHE_BYTES = 20 * 1024 ** 3;
/** Machines and sites are being sent files of it: a smaller one could lose a file before it is opened. */
const LEAST_CACHE_BYTES = 256 * 1024 ** 2;

export function decideImageStore(written: WrittenStore = {}): {
  readonly store: ImageStoreSettings;
  /** Their paths begin behind `images.store`. */
  readonly problems: readonly SettingProblem[];
} {
  const { kind = "folder", endpoint, region, bucket, prefix = "", credentialsFile } = written;
  if (kind === "folder") return { store: { kind }, problems: refuseForFolder(written) };
  const cacheBytes = readSize(written.cacheSize) ?? DEFAULT_CACHE_BYTES;
  return {
    store: {
      kind,
      endpoint: endpoint ?? null,
      region: region ?? "us-east-1",
      bucket: bucket ?? "",
      prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`,
      cacheBytes,
      credentialsFile: credentialsFile ?? null,
    },
    problems: [
      ...(bucket === undefined ? [{ path: ["bucket"], reason: "a store of kind s3 needs a bucket" }] : []),
      ...(holdsCredentials(endpoint)
        ? [{ path: ["endpoint"], reason: "credentials do not belong here; use images.store.credentialsFile" }]
        : []),
      ...(cacheBytes < LEAST_CACHE_BYTES
        ? [{ path: ["cacheSize"], reason: "at least 256MiB, for what is being sent at any moment" }]
        : []),
    ],
  };
}

function refuseForFolder(written: WrittenStore): SettingProblem[] {
  return Object.keys(written)
    .filter(key => key !== "kind")
    .map(key => ({ path: [key], reason: `${key} is for a store of kind s3; set images.store.kind: s3` }));
}

/** They would be shown by `drp config check` and in errors. */
function holdsCredentials(endpoint: string | undefined): boolean {
  if (endpoint === undefined) return false;
  const { username, password } = new URL(endpoint);
  return username !== "" || password !== "";
}
