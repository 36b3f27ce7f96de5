/**
 * The documents of a container image (OCI image specification 1.1; Docker's image manifest, version 2, schema 2): from an index to
 * the manifest for one architecture, to its layers in their order. Nothing in them is believed but sizes and digests, which are
 * checked against the bytes.
 */
import { z } from "zod";
import type { Architecture } from "../core/architecture.ts";
import { DrpError } from "../core/errors.ts";
import type { Compression } from "./compression.ts";
import { isOciDigest, type OciDigest } from "./oci-reference.ts";
import { describeSchemaIssue } from "./schema-issue.ts";

const INDEX_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
] as const;
const MANIFEST_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
] as const;
/** For the Accept header of a registry's manifest. */
export const DOCUMENT_TYPES: readonly string[] = [...MANIFEST_TYPES, ...INDEX_TYPES];

/** How a layer's tar is compressed; null: not at all. */
const LAYER_TYPES: ReadonlyMap<string, Compression | null> = new Map([
  ["application/vnd.oci.image.layer.v1.tar", null],
  ["application/vnd.oci.image.layer.v1.tar+gzip", "gzip"],
  ["application/vnd.oci.image.layer.v1.tar+zstd", "zstd"],
  ["application/vnd.docker.image.rootfs.diff.tar", null],
  ["application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"],
  ["application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"],
]);
const FOREIGN_LAYER = /nondistributable|foreign/;

/** What registries take as a manifest (distribution specification: at least 4 MiB). */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** The kernel's overlayfs takes 500, Docker 127. */
const MAX_LAYERS = 500;
/** Indexes within indexes; a layout's own is the first. */
export const MAX_INDEX_DEPTH = 3;

const descriptorSchema = z.object({
  mediaType: z.string().max(255).optional(),
  digest: z.string().refine(isOciDigest, "only sha256 digests are taken"),
  size: z.int().nonnegative(),
  platform: z.object({ os: z.string().max(64), architecture: z.string().max(64) }).optional(),
});
export type OciDescriptor = z.infer<typeof descriptorSchema>;

const indexSchema = z.object({
  schemaVersion: z.literal(2),
  manifests: z.array(descriptorSchema).max(1000),
});
const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).min(1).max(MAX_LAYERS),
});
const configSchema = z.object({ os: z.string().max(64), architecture: z.string().max(64) });

export interface OciLayer {
  readonly digest: OciDigest;
  /** As it is stored. */
  readonly sizeBytes: number;
  readonly compression: Compression | null;
}

export type OciDocument =
  | { readonly kind: "index"; readonly manifests: readonly OciDescriptor[] }
  | { readonly kind: "manifest"; readonly config: OciDescriptor; readonly layers: readonly OciLayer[] };

/**
 * @param name of the document, for errors
 * @throws {DrpError} input.unreadable
 */
export function parseOciDocument(text: string, name: string): OciDocument {
  const json = parseJson(text, name);
  const isIndex = typeof json === "object" && json !== null && "manifests" in json;
  if (isIndex) return { kind: "index", manifests: check(indexSchema, json, name).manifests };
  const { config, layers } = check(manifestSchema, json, name);
  return {
    kind: "manifest",
    config,
    layers: layers.map(({ mediaType = "", digest, size }, index) => ({
      digest,
      sizeBytes: size,
      compression: layerCompression(mediaType, `layer ${index} of ${name}`),
    })),
  };
}

function layerCompression(mediaType: string, name: string): Compression | null {
  const compression = LAYER_TYPES.get(mediaType);
  if (compression !== undefined) return compression;
  if (FOREIGN_LAYER.test(mediaType)) {
    throw unreadable(
      `${name} is kept somewhere else than the image (${mediaType})`,
      "Build the image on a base that may be handed on.",
    );
  }
  throw unreadable(
    `${name} is of the type ${JSON.stringify(mediaType)}, which is not known`,
    "Give an image of file system layers; encrypted ones and artifacts of other kinds hold none that can be read.",
  );
}

/**
 * @param name of the index, for errors
 * @returns the one for the architecture; without a word on platforms, the only one there is
 * @throws {DrpError} image.wrong-architecture with what is there
 */
export function chooseManifest(
  manifests: readonly OciDescriptor[],
  architecture: Architecture,
  name: string,
): OciDescriptor {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === "linux" && platform.architecture === architecture,
  );
  const silent = manifests.filter(({ platform }) => platform === undefined);
  const candidates = fitting.length > 0 ? fitting : silent;
  const [only] = candidates;
  if (only === undefined) {
    const found = [
      ...new Set(manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`)),
    ].join(", ");
    throw new DrpError(
      "image.wrong-architecture",
      `${name} has nothing for linux/${architecture}: ${found || "it is empty"}`,
      {
        advice: "Choose another architecture with --arch, or an image that is built for this one.",
      },
    );
  }
  if (new Set(candidates.map(({ digest }) => digest)).size > 1) {
    throw unreadable(
      `${name} holds ${candidates.length} images that may be meant`,
      "Copy the one you mean into a layout of its own: skopeo copy oci:LAYOUT:TAG oci:NEW:TAG.",
    );
  }
  return only;
}

/** @throws {DrpError} image.wrong-architecture; input.unreadable */
export function checkConfig(text: string, architecture: Architecture, name: string): void {
  const config = check(configSchema, parseJson(text, name), name);
  if (config.os === "linux" && config.architecture === architecture) return;
  throw new DrpError(
    "image.wrong-architecture",
    `the image is for ${JSON.stringify(config.os)}/${JSON.stringify(config.architecture)}, not for linux/${architecture}`,
    { advice: "Choose another architecture with --arch, or an image that is built for this one." },
  );
}

/** What `docker save` of Docker before 25 writes. */
export interface DockerArchive {
  readonly config: string;
  /** Names in the archive, the lowest layer first. */
  readonly layers: readonly string[];
}

const dockerArchiveSchema = z.array(
  z.object({ Config: z.string().max(300), Layers: z.array(z.string().max(300)).min(1).max(MAX_LAYERS) }),
);
const dockerConfigSchema = z.object({
  rootfs: z.object({ diff_ids: z.array(z.string().refine(isOciDigest, "only sha256 digests are taken")) }),
});

/** @throws {DrpError} input.unreadable */
export function parseDockerArchive(text: string): DockerArchive {
  const [image, ...more] = check(dockerArchiveSchema, parseJson(text, "manifest.json"), "manifest.json");
  if (image === undefined || more.length > 0) {
    throw unreadable(`the archive holds ${more.length + 1} images`, "Save the one you mean alone.");
  }
  return { config: image.Config, layers: image.Layers };
}

/** @returns the digests of the layers, decompressed */
export function parseDiffIds(text: string, name: string): readonly OciDigest[] {
  return check(dockerConfigSchema, parseJson(text, name), name).rootfs.diff_ids;
}

/** Without the parser's own words: they would show what stands in a file that is none of ours. */
function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(`${name} is not JSON`, "Make or copy the image again.");
  }
}

function check<T>(schema: z.ZodType<T>, json: unknown, name: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw unreadable(`${name}: ${describeSchemaIssue(parsed.error)}`, "Make or copy the image again.");
}

function unreadable(what: string, advice: string): DrpError {
  return new DrpError("input.unreadable", what, { advice });
}
