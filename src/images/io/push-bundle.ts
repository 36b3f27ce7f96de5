/** Sends a bundle to a registry that may hold some of it already: only chunks that are missing there cross the line. */
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import tar from "tar-stream";
import { DrpError } from "../../core/errors.ts";
import { chunkLength } from "../chunker.ts";
import type { ChunkDigest, ImageDigest } from "../manifest.ts";
import { parseManifest } from "../parse-manifest.ts";
import type { SignedManifest } from "../signature.ts";
import { type BundledChunk, BundleReader, tamperedChunk } from "./bundle-reader.ts";
import { encodeChunk } from "./chunk-codec.ts";
import { TaskWindow } from "./task-window.ts";

/** The other end. All methods may be called again after `hub.unreachable`. */
export interface PushTarget<Pushed> {
  /**
   * @param head a tar of manifest.json and manifest.sig
   * @returns the chunks that are missing there
   */
  begin(head: Buffer): Promise<{ readonly digest: ImageDigest; readonly missing: readonly ChunkDigest[] }>;
  sendChunk(image: ImageDigest, chunk: ChunkDigest, frame: Buffer): Promise<void>;
  complete(image: ImageDigest): Promise<Pushed>;
}

export interface PushProgress {
  /** Of the raw image and the attachments, both. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface PushOptions {
  readonly onProgress: (progress: PushProgress) => void;
  /** Before each wait for a registry that is away. */
  readonly onRetry: (error: DrpError) => void;
}

/** Enough to fill a line with some latency. */
const CHUNKS_AT_ONCE = 4;
/** Then a person should look. Together five minutes. */
const RETRY_DELAYS_MS = [1, 2, 5, 10, 20, 30, 30, 60, 60, 60].map(seconds => seconds * 1000);

/**
 * @param bundle read to its end in any case where the registry lacks something
 * @throws {DrpError} bundle.truncated, bundle.malformed, bundle.tampered of the bundle here; whatever the target refuses
 */
export async function pushBundle<Pushed>(
  bundle: Readable,
  target: PushTarget<Pushed>,
  options: PushOptions,
): Promise<{ readonly pushed: Pushed; readonly sentBytes: number }> {
  const reader = new BundleReader(bundle);
  try {
    const signed = await reader.readSignedManifest();
    const head = await packHead(signed);
    // The hub believes the manifest only with its signature; what it has accepted can be read.
    const { digest, missing } = await insistently(() => target.begin(head), options);
    const wanted = { digest, missing: new Set(missing) };
    const sentBytes =
      wanted.missing.size === 0 ? 0 : await sendMissing(reader, signed, wanted, target, options);
    return { pushed: await insistently(() => target.complete(digest), options), sentBytes };
  } finally {
    reader.close();
    bundle.destroy();
  }
}

async function sendMissing<Pushed>(
  reader: BundleReader,
  signed: SignedManifest,
  { digest, missing }: { readonly digest: ImageDigest; readonly missing: Set<ChunkDigest> },
  target: PushTarget<Pushed>,
  options: PushOptions,
): Promise<number> {
  const manifest = parseManifest(signed.manifestText);
  const totalBytes = [...manifest.payloads, ...manifest.attachments].reduce(
    (sum, part) => sum + part.sizeBytes,
    0,
  );
  const window = new TaskWindow(CHUNKS_AT_ONCE);
  let doneBytes = 0;
  let sentBytes = 0;
  try {
    for await (const chunk of reader.chunks(manifest)) {
      const wanted = chunk.part.chunks[chunk.index] ?? null;
      doneBytes += chunkLength(chunk.part, chunk.index);
      if (wanted !== null && missing.delete(wanted)) {
        await window.start(async () => {
          const frame = await frameOf(chunk);
          await insistently(() => target.sendChunk(digest, wanted, frame), options);
          sentBytes += frame.length;
        });
      }
      options.onProgress({ doneBytes, totalBytes });
    }
    await window.finish();
  } finally {
    await window.settle();
  }
  return sentBytes;
}

async function packHead(signed: SignedManifest): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name: "manifest.json" }, signed.manifestText);
  pack.entry({ name: "manifest.sig" }, JSON.stringify(signed.signature));
  pack.finalize();
  return await buffer(pack);
}

async function frameOf({ part, index, form, bytes }: BundledChunk): Promise<Buffer> {
  if (form === "frame") return bytes;
  if (bytes.length === chunkLength(part, index)) return await encodeChunk(bytes);
  throw tamperedChunk(part, index, `has ${bytes.length} bytes`);
}

/** Again while the hub is away; anything that it says itself is final. */
async function insistently<T>(ask: () => Promise<T>, { onRetry }: PushOptions): Promise<T> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof DrpError && error.code === "hub.unreachable")) throw error;
      onRetry(error);
      await delay(delayMs);
    }
  }
  return await ask();
}
