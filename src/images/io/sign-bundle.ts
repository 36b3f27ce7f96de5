/** Signs a bundle anew: the same manifest, payload and attachments, byte for byte, under another key's signature. */
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { DrpError } from "../../core/errors.ts";
import { imageDigest } from "../digest.ts";
import type { ImageDigest, Manifest } from "../manifest.ts";
import { readManifest, signManifest } from "../signature.ts";
import { TAR_END_BYTES } from "../tar-header.ts";
import { BUNDLE_LIMITS, BundleReader, ZSTD_MAGIC } from "./bundle-reader.ts";
import { decompressing } from "./decompress.ts";
import { syncDirectory, unfinishedPath } from "./durable-files.ts";

const READ_BYTES = 1024 * 1024;

export interface SignedBundle {
  readonly digest: ImageDigest;
  readonly manifest: Manifest;
  /** Whose signature it has now. */
  readonly keyId: string;
  /** Whose it had. Nobody has checked that one. */
  readonly keyIdBefore: string;
}

/**
 * Believes nothing that the bundle says of itself: whoever signs it vouches for the manifest from then on.
 *
 * @param out a plain tar, replaced at once when it is whole and safe on disk; may be the bundle itself
 * @throws {DrpError} key.invalid; input.unreadable; bundle.truncated, bundle.malformed; version.unsupported; data.unwritable
 */
export async function signBundle(file: string, privateKeyPem: string, out: string): Promise<SignedBundle> {
  const { signed, restBytes } = await readHead(file);
  const manifest = readManifest(signed.manifestText);
  const signature = signManifest(signed.manifestText, privateKeyPem);
  const aside = unfinishedPath(out);
  try {
    await pipeline(
      Readable.from(newBundle(file, signed.manifestText, JSON.stringify(signature), restBytes)),
      createWriteStream(aside, { flags: "wx", flush: true }),
    );
    await rename(aside, out);
    await syncDirectory(dirname(out));
  } catch (cause) {
    await rm(aside, { force: true });
    if (cause instanceof DrpError) throw cause;
    throw new DrpError("data.unwritable", `cannot write ${out}`, { cause });
  }
  return {
    digest: imageDigest(signed.manifestText),
    manifest,
    keyId: signature.keyId,
    keyIdBefore: signed.signature.keyId,
  };
}

async function readHead(file: string) {
  const source = createReadStream(file, { highWaterMark: READ_BYTES });
  const reader = new BundleReader(source);
  try {
    const signed = await reader.readSignedManifest();
    return { signed, restBytes: reader.entryEndBytes };
  } catch (error) {
    // The reader tells of a bundle that ends too soon; here it was never begun.
    throw source.errored === null ? error : unreadable(file, source.errored);
  } finally {
    reader.close();
    source.destroy();
  }
}

/** @param restBytes where the third entry begins in the old tar */
async function* newBundle(
  file: string,
  manifestText: string,
  signatureText: string,
  restBytes: number,
): AsyncGenerator<Uint8Array> {
  const head = tar.pack();
  const common = { mode: 0o644, mtime: new Date(readManifest(manifestText).createdAt) };
  head.entry({ ...common, name: "manifest.json" }, manifestText);
  head.entry({ ...common, name: "manifest.sig" }, signatureText);
  head.finalize();
  // The end of an archive is two blocks of zeros; the old bundle brings its own.
  let held: Buffer = Buffer.alloc(0);
  for await (const bytes of head as AsyncIterable<Buffer>) {
    held = Buffer.concat([held, bytes]);
  }
  yield held.subarray(0, held.length - TAR_END_BYTES);
  let skipBytes = restBytes;
  for await (const bytes of await openTar(file)) {
    if (skipBytes < bytes.length) yield bytes.subarray(skipBytes);
    skipBytes = Math.max(0, skipBytes - bytes.length);
  }
}

async function openTar(file: string): Promise<AsyncIterable<Uint8Array>> {
  const source = createReadStream(file, { highWaterMark: READ_BYTES });
  await using handle = await open(file, "r");
  const { buffer } = await handle.read(Buffer.alloc(ZSTD_MAGIC.length), 0, ZSTD_MAGIC.length, 0);
  return buffer.equals(ZSTD_MAGIC) ? decompressing(source, "zstd", "the bundle", BUNDLE_LIMITS) : source;
}

function unreadable(file: string, cause: unknown): DrpError {
  return new DrpError("input.unreadable", `cannot read ${file}`, { cause });
}
