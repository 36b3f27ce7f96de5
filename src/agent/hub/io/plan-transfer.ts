/** The hub's answer to a site that needs an image: gathers what `chooseTransfer` decides from, and asks for deltas. */
import { open } from "node:fs/promises";
import {
  chooseTransfer,
  type HeldImage,
  type NoDelta,
  type ReadyDelta,
  rankBases,
} from "../../../images/choose-transfer.ts";
import { decodeChunkBitmap, listChunks } from "../../../images/chunk-bitmap.ts";
import { groupOfChunk } from "../../../images/delta/apply.ts";
import { decodeDeltaHeader, deltaHeaderBytes } from "../../../images/delta/header.ts";
import type { DeltaSource } from "../../../images/delta-source.ts";
import type { ImageRegistry } from "../../../images/io/registry.ts";
import { mapInOrder } from "../../../images/io/task-window.ts";
import { CHUNK_BYTES, type ChunkDigest, type ImageDigest, type Manifest } from "../../../images/manifest.ts";
import { parseManifest } from "../../../images/parse-manifest.ts";
import type { TransferAnswer, TransferRequest } from "../../site-protocol.ts";

export interface TransferSources {
  readonly registry: Pick<ImageRegistry, "manifest" | "frameSize">;
  /** Null: this hub makes no deltas. */
  readonly deltas: DeltaSource | null;
}

/** Of an image with more missing chunks a spread of so many is measured, and the rest is taken to be like them. */
const MEASURED_CHUNKS = 4096;
/** Of an image of which no frame is kept: systems compress to about half. */
const GUESSED_FRAME_BYTES = CHUNK_BYTES / 2;
/** Files looked at side by side. */
const STATS_AT_ONCE = 16;

/**
 * @param siteId who asks
 * @returns undefined when the hub does not hold the image
 */
export async function planTransfer(
  { registry, deltas }: TransferSources,
  siteId: string,
  image: ImageDigest,
  request: TransferRequest,
): Promise<TransferAnswer | undefined> {
  const target = await readManifest(registry, image);
  if (target === undefined) return undefined;
  const missing = new Set(decodeChunkBitmap(listChunks(target), request.missing));
  const ready: ReadyDelta[] = [];
  const none: NoDelta[] = [];
  for (const { digest: from, label: fromName } of deltas === null
    ? []
    : await findBases(registry, target, request)) {
    const offer = await deltas?.offer(from, image, siteId);
    if (offer?.kind === "computing" && request.waitsForDelta) return { ...offer, fromName };
    if (offer?.kind === "computing") none.push({ fromName, because: "the hub still computes it" });
    if (offer?.kind === "none") none.push({ fromName, because: offer.because });
    if (offer?.kind !== "delta") continue;
    const { path, sizeBytes, sha256 } = offer;
    const neededBytes = await measureDelta(path, { from, to: image, manifest: target, missing });
    ready.push({ from, fromName, sizeBytes, sha256, neededBytes });
    break;
  }
  const choice = chooseTransfer(await measureMissing(registry, target, missing), ready, none);
  if (choice.kind === "whole") return choice;
  const { delta, wholeBytes, reason } = choice;
  const { from, fromName, sizeBytes, sha256 } = delta;
  return { kind: "delta", from, fromName, sizeBytes, sha256, wholeBytes, reason };
}

async function findBases(
  registry: TransferSources["registry"],
  target: Manifest,
  { held }: TransferRequest,
): Promise<HeldImage[]> {
  const images: HeldImage[] = [];
  for (const digest of held) {
    const manifest = await readManifest(registry, digest);
    if (manifest !== undefined) images.push({ digest, ...describe(manifest) });
  }
  return rankBases(describe(target), images);
}

function describe(manifest: Manifest) {
  return {
    name: manifest.name,
    label: `${manifest.name}:${manifest.version}`,
    release: manifest.release,
    chunks: manifest.payloads.flatMap(({ chunks }) => chunks),
  };
}

interface WantedDelta {
  readonly from: ImageDigest;
  readonly to: ImageDigest;
  readonly manifest: Manifest;
  readonly missing: ReadonlySet<ChunkDigest>;
}

/** Bytes of its header and of the groups whose chunks are missing. */
async function measureDelta(path: string, { from, to, manifest, missing }: WantedDelta): Promise<number> {
  const [payload] = manifest.payloads;
  if (payload === undefined) return 0;
  const header = Buffer.alloc(deltaHeaderBytes(payload));
  await using file = await open(path, "r");
  const { bytesRead } = await file.read(header, 0, header.length, 0);
  const groups = decodeDeltaHeader(header.subarray(0, bytesRead), { from, to, payload });
  const needed = new Set<number>();
  for (const [index, chunk] of payload.chunks.entries()) {
    if (chunk !== null && missing.has(chunk)) needed.add(groupOfChunk(index));
  }
  return [...needed].reduce((sum, group) => sum + (groups[group]?.lengthBytes ?? 0), header.length);
}

/** Of payloads alone: attachments come in chunks either way. */
async function measureMissing(
  registry: TransferSources["registry"],
  target: Manifest,
  missing: ReadonlySet<ChunkDigest>,
): Promise<number> {
  const ofPayloads = new Set(target.payloads.flatMap(({ chunks }) => chunks));
  const wanted = [...missing].filter(chunk => ofPayloads.has(chunk));
  const step = Math.max(1, wanted.length / MEASURED_CHUNKS);
  const measured = wanted.filter((_, index) => Math.floor(index % step) === 0);
  let [sizeBytes, known] = [0, 0];
  const sizes = mapInOrder(iterate(measured), STATS_AT_ONCE, chunk => registry.frameSize(chunk));
  for await (const size of sizes) {
    if (size === undefined) continue;
    sizeBytes += size;
    known++;
  }
  return Math.round((known === 0 ? GUESSED_FRAME_BYTES : sizeBytes / known) * wanted.length);
}

async function* iterate<T>(items: readonly T[]): AsyncGenerator<T, void, void> {
  yield* items;
}

async function readManifest(
  registry: TransferSources["registry"],
  digest: ImageDigest,
): Promise<Manifest | undefined> {
  const signed = await registry.manifest(digest);
  return signed === undefined ? undefined : parseManifest(signed.manifestText);
}
