/** Looks a bundle over without a hub: who signed it, whether that counts, and whether each chunk is the one that was signed. */
import type { Readable } from "node:stream";
import { DrpError } from "../../core/errors.ts";
import { chunkLength, isZeroChunk } from "../chunker.ts";
import { chunkDigest, imageDigest } from "../digest.ts";
import type { TrustedKey } from "../keys.ts";
import type { ImageDigest, Manifest } from "../manifest.ts";
import { readManifest, verifyManifest } from "../signature.ts";
import { type BundledChunk, BundleReader } from "./bundle-reader.ts";
import { decodeChunk } from "./chunk-codec.ts";
import { TaskWindow } from "./task-window.ts";

/** More of the same kind help nobody. */
const NAMED_CHUNKS = 20;
const CHUNKS_AT_ONCE = 8;

export interface BundleVerdict {
  readonly digest: ImageDigest;
  readonly manifest: Manifest;
  /** Whose signature it bears, whether or not it holds. */
  readonly keyId: string;
  /** Of the payload and the attachments. */
  readonly chunks: number;
  /** What is wrong with it, in words that name the place; empty: it is what was signed, by a key that counts. */
  readonly problems: readonly string[];
}

/**
 * Goes on after what is wrong, as far as the bundle can be read.
 *
 * @throws {DrpError} bundle.truncated, bundle.malformed, version.unsupported when there is no manifest to compare with
 */
export async function verifyBundle(
  bundle: Readable,
  keys: readonly TrustedKey[],
  onProgress: (doneBytes: number, totalBytes: number) => void = () => {},
): Promise<BundleVerdict> {
  const reader = new BundleReader(bundle);
  try {
    const signed = await reader.readSignedManifest();
    const manifest = readManifest(signed.manifestText);
    const problems: string[] = [];
    noteProblem(problems, () => verifyManifest(signed, keys));
    const parts = [...manifest.payloads, ...manifest.attachments];
    const totalBytes = parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const wrong: string[] = [];
    let chunks = 0;
    let doneBytes = 0;
    const window = new TaskWindow(CHUNKS_AT_ONCE);
    try {
      for await (const chunk of reader.chunks(manifest)) {
        await window.start(async () => {
          const what = await faultOf(chunk);
          if (what !== undefined) wrong.push(describeChunk(chunk, what));
        });
        chunks++;
        doneBytes += chunkLength(chunk.part, chunk.index);
        onProgress(doneBytes, totalBytes);
      }
    } catch (error) {
      if (!(error instanceof DrpError)) throw error;
      wrong.push(error.message);
    } finally {
      await window.settle();
    }
    problems.push(...wrong.slice(0, NAMED_CHUNKS));
    if (wrong.length > NAMED_CHUNKS) problems.push(`and ${wrong.length - NAMED_CHUNKS} chunks more`);
    return {
      digest: imageDigest(signed.manifestText),
      manifest,
      keyId: signed.signature.keyId,
      chunks,
      problems,
    };
  } finally {
    reader.close();
    bundle.destroy();
  }
}

function noteProblem(problems: string[], check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof DrpError)) throw error;
    problems.push(error.message);
  }
}

async function faultOf({ part, index, form, bytes }: BundledChunk): Promise<string | undefined> {
  const digest = part.chunks[index] ?? null;
  let plain: Uint8Array;
  try {
    plain = form === "plain" ? bytes : await decodeChunk(bytes, chunkLength(part, index));
  } catch {
    return "does not decompress to its size";
  }
  if (digest === null) return isZeroChunk(plain) ? undefined : "holds data where zeros were signed";
  return chunkDigest(plain) === digest ? undefined : "is not the one that was signed";
}

function describeChunk({ part, index }: BundledChunk, what: string): string {
  return `${part.name}, chunk ${index} at byte ${index * part.chunkBytes}: it ${what}`;
}
