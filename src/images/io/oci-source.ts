/**
 * Lays a container image into a tree: from a registry ("oci://…"), an OCI layout, or an archive of one. Every blob is checked
 * against its digest while it streams by; no layer is kept, neither in memory nor on disk, and nothing of it is run.
 */
import { createReadStream } from "node:fs";
import { mkdtemp, open, readFile, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Architecture } from "../../core/architecture.ts";
import { DrpError } from "../../core/errors.ts";
import { recognizeCompression } from "../compression.ts";
import type { FileTree } from "../file-tree.ts";
import { findCredentials, type OciCredentials } from "../oci-auth.ts";
import {
  checkConfig,
  chooseManifest,
  MAX_INDEX_DEPTH,
  type OciDescriptor,
  type OciLayer,
  parseOciDocument,
} from "../oci-documents.ts";
import { OCI_SCHEME, type OciDigest, parseOciReference } from "../oci-reference.ts";
import type { ContentSpool } from "./content-spool.ts";
import { decompressing } from "./decompress.ts";
import { unpackOciArchive } from "./oci-archive.ts";
import { type OciBlobs, readDocument, readVerified } from "./oci-blobs.ts";
import {
  blobsOfFiles,
  filesOfFolder,
  type OciFiles,
  openDockerArchive,
  readSmallFile,
} from "./oci-layout.ts";
import { blobsOfRegistry, fetchReferenced } from "./oci-registry.ts";
import { RegistryClient } from "./oci-registry-client.ts";
import { layTar } from "./tar-source.ts";

export interface OciRequest {
  /** "oci://HOST/NAME:TAG", or the path of a layout's folder or of an archive, which may be compressed. */
  readonly source: string;
  readonly architecture: Architecture;
  /** Speak http to a host that is not this one. */
  readonly plainHttp?: boolean;
  /** Of the form of ~/.docker/config.json, which is the default. */
  readonly authFile?: string;
  /** Ends the reading of an archive; of all else, the spool's own. */
  readonly signal?: AbortSignal | undefined;
}

/** An image whose manifest was chosen and checked. */
interface OpenedImage {
  /** Of the manifest; undefined for what an older `docker save` wrote, which has none. */
  readonly digest: OciDigest | undefined;
  readonly layers: readonly OciLayer[];
  readonly blobs: OciBlobs;
}

/**
 * @param tree takes the layers, one over the other
 * @param spool takes the files' contents; an archive is taken apart in a folder beside it, which is removed again
 * @returns the manifest's digest: the same one gives the same tree
 * @throws {DrpError} request.invalid, input.unreadable, image.wrong-architecture, registry.failed, config.invalid, tool.missing
 */
export async function layOciImage(
  request: OciRequest,
  tree: FileTree,
  spool: ContentSpool,
): Promise<{ readonly digest: OciDigest | undefined }> {
  const workDir = await mkdtemp(join(dirname(spool.path), ".oci-"));
  try {
    const { digest, layers, blobs } = await openImage(request, workDir);
    for (const [index, layer] of layers.entries()) {
      tree.beginLayer();
      await layLayer(layer, `layer ${index} of ${blobs.name}`, blobs, tree, spool);
    }
    return { digest };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

async function layLayer(
  { digest, sizeBytes, compression }: OciLayer,
  name: string,
  blobs: OciBlobs,
  tree: FileTree,
  spool: ContentSpool,
): Promise<void> {
  const stored = readVerified(blobs, digest, sizeBytes);
  await layTar(tree, compression === null ? stored : decompressing(stored, compression, name), spool);
}

async function openImage(request: OciRequest, workDir: string): Promise<OpenedImage> {
  if (request.source.startsWith(OCI_SCHEME)) return await openFromRegistry(request);
  const files = await openFiles(request, workDir);
  if ((await files.path("index.json")) === undefined && (await files.path("manifest.json")) !== undefined) {
    const { configText, layers, blobs } = await openDockerArchive(files);
    checkConfig(configText, request.architecture, files.name);
    return { digest: undefined, layers, blobs };
  }
  const index = parseOciDocument(await readSmallFile(files, "index.json"), `index.json of ${files.name}`);
  if (index.kind !== "index") throw notAnIndex(files.name);
  const blobs = blobsOfFiles(files);
  return await descend(chooseManifest(index.manifests, request.architecture, files.name), request, blobs, 1);
}

async function openFiles({ source: path, signal }: OciRequest, workDir: string): Promise<OciFiles> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new DrpError("input.unreadable", `cannot read ${path}`, { advice: "Check the path.", cause });
  });
  if (found.isDirectory()) return filesOfFolder(path);
  const compression = recognizeCompression(await readHead(path));
  const stored = createReadStream(path, { highWaterMark: 1024 * 1024, signal }) as AsyncIterable<Buffer>;
  const plain = compression === undefined ? stored : decompressing(stored, compression, path);
  return await unpackOciArchive(plain, path, workDir);
}

async function readHead(path: string): Promise<Buffer> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
  return buffer.subarray(0, bytesRead);
}

async function openFromRegistry(request: OciRequest): Promise<OpenedImage> {
  const reference = parseOciReference(request.source);
  const credentials = await readCredentials(request.authFile, reference.host);
  const client = new RegistryClient({ reference, plainHttp: request.plainHttp ?? false, credentials });
  const blobs = blobsOfRegistry(client, reference);
  const { digest, text } = await fetchReferenced(client, reference);
  const document = parseOciDocument(text, request.source);
  if (document.kind === "manifest") return await openManifest(document, digest, request, blobs);
  const chosen = chooseManifest(document.manifests, request.architecture, request.source);
  // Manifests have a place of their own in a registry.
  const documents: OciBlobs = {
    name: blobs.name,
    async *read(wanted) {
      yield Buffer.from(
        (await fetchReferenced(client, { ...reference, target: wanted, digest: wanted })).text,
      );
    },
  };
  return await descend(chosen, request, blobs, 1, documents);
}

/** From a descriptor down to the manifest for the architecture. */
async function descend(
  { digest, size }: OciDescriptor,
  request: OciRequest,
  blobs: OciBlobs,
  depth: number,
  documents = blobs,
): Promise<OpenedImage> {
  const document = parseOciDocument(await readDocument(documents, digest, size), digest);
  if (document.kind === "manifest") return await openManifest(document, digest, request, blobs);
  if (depth >= MAX_INDEX_DEPTH) {
    throw new DrpError(
      "input.unreadable",
      `${blobs.name} has more than ${MAX_INDEX_DEPTH} indexes within each other`,
      {
        advice: "Give the digest of the manifest that you mean.",
      },
    );
  }
  const chosen = chooseManifest(document.manifests, request.architecture, digest);
  return await descend(chosen, request, blobs, depth + 1, documents);
}

async function openManifest(
  { config, layers }: { config: OciDescriptor; layers: readonly OciLayer[] },
  digest: OciDigest,
  request: OciRequest,
  blobs: OciBlobs,
): Promise<OpenedImage> {
  const text = await readDocument(blobs, config.digest, config.size);
  checkConfig(text, request.architecture, `the configuration of ${blobs.name}`);
  return { digest, layers, blobs };
}

async function readCredentials(
  authFile: string | undefined,
  host: string,
): Promise<OciCredentials | undefined> {
  const path = authFile ?? join(process.env.DOCKER_CONFIG ?? join(homedir(), ".docker"), "config.json");
  try {
    return findCredentials(await readFile(path, "utf8"), host, path);
  } catch (cause) {
    if (cause instanceof DrpError) throw cause;
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    if (isMissing && authFile === undefined) return undefined;
    throw new DrpError("input.unreadable", `cannot read ${path}`, {
      advice: "Check its path and mode.",
      cause,
    });
  }
}

function notAnIndex(name: string): DrpError {
  return new DrpError("input.unreadable", `index.json of ${name} is not an index`, {
    advice: "Make the layout again.",
  });
}
