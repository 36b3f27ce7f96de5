/**
 * Reads a bundle (a tar, or a zstd file of one: manifest.json, manifest.sig, the payload, the attachments) as it streams by. It checks the frame and
 * the signature; whether the chunks' bytes are the signed ones is for their consumer.
 */
import { finished, Readable } from "node:stream";
import tar from "tar-stream";
import { DecodeError, DrpError } from "../../core/errors.ts";
import { splitChunks } from "../chunker.ts";
import type { TrustedKey } from "../keys.ts";
import { type ChunkedPart, type Manifest, signatureSchema } from "../manifest.ts";
import { MAX_MANIFEST_BYTES, type SignedManifest, verifyManifest } from "../signature.ts";
import { TAR_BLOCK_BYTES, TAR_END_BYTES } from "../tar-header.ts";
import { splitFrames } from "../zstd-frames.ts";
import { type DecompressLimits, decompressing } from "./decompress.ts";

/** One chunk as the bundle holds it: plain bytes, or the zstd frame of them. Not yet compared with its digest. */
export interface BundledChunk {
  readonly part: ChunkedPart;
  readonly index: number;
  readonly form: "plain" | "frame";
  readonly bytes: Buffer;
}

/** What tar-stream hands out; its own types leave out what the bytes are and where in the tar they begin. */
interface TarEntry extends AsyncIterable<Uint8Array> {
  readonly header: tar.Header & { readonly byteOffset: number };
}

/** RFC 8878 §3.1.1, little-endian. */
export const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** The window is the decoder's memory: 32 MiB for each push, whoever sends it. `zstd -19` takes 8 MiB. */
export const BUNDLE_LIMITS: DecompressLimits = { maxWindowLog: 25 };
/** A signature is 200 bytes of JSON. */
const MAX_SIGNATURE_BYTES = 4096;

/**
 * Ask in this order: `readManifest`, then `chunks` to their end or `drain`, then `close` in any case. The source is never
 * destroyed here; after an error it is paused with its rest unread. All methods throw DrpError: bundle.truncated,
 * bundle.malformed, bundle.tampered; `readManifest` also what `verifyManifest` throws.
 */
export class BundleReader {
  readonly #source: Readable;
  /** The source, or what comes out of its zstd frames. */
  #tar: Readable;
  readonly #extract = tar.extract();
  readonly #entries: AsyncIterator<TarEntry>;
  readonly #sourceEnd: Promise<void>;
  readonly #extractClosed: Promise<void>;
  readonly #count = (bytes: Uint8Array): void => {
    this.#receivedBytes += bytes.length;
  };
  #receivedBytes = 0;
  /** Where the last entry's content ends in the tar. */
  #contentEndBytes = 0;
  #archiveError: Error | undefined;
  #sourceError: Error | undefined;

  constructor(source: Readable) {
    this.#source = source;
    this.#tar = source;
    this.#entries = (this.#extract as AsyncIterable<TarEntry>)[Symbol.asyncIterator]();
    this.#extract.on("error", error => {
      this.#archiveError ??= error;
    });
    const closed = Promise.withResolvers<void>();
    this.#extractClosed = closed.promise;
    this.#extract.on("close", closed.resolve);
    const ended = Promise.withResolvers<void>();
    this.#sourceEnd = ended.promise;
    finished(source, { writable: false }, error => {
      if (error) {
        this.#sourceError = error;
        this.#extract.destroy(error);
      }
      ended.resolve();
    });
  }

  /** Resolves once the signature holds; until then no payload byte has been looked at. */
  async readManifest(
    trustedKeys: readonly TrustedKey[],
  ): Promise<{ readonly manifest: Manifest; readonly signed: SignedManifest }> {
    const signed = await this.readSignedManifest();
    return { manifest: verifyManifest(signed, trustedKeys), signed };
  }

  /** The manifest as nobody has checked it yet: for who only passes the bundle on. */
  async readSignedManifest(): Promise<SignedManifest> {
    try {
      await this.#begin();
      const manifestText = await this.#readText("manifest.json", MAX_MANIFEST_BYTES);
      const signature = parseSignature(await this.#readText("manifest.sig", MAX_SIGNATURE_BYTES));
      return { manifestText, signature };
    } catch (error) {
      throw await this.#explain(error);
    }
  }

  /** Where the entry that was read last ends in the tar. */
  get entryEndBytes(): number {
    return this.#contentEndBytes;
  }

  /** Every chunk of payload and attachments in order; ends only where the bundle ends as it should. */
  async *chunks(manifest: Manifest): AsyncGenerator<BundledChunk, void, void> {
    try {
      for (const payload of manifest.payloads) {
        yield* readPart(await this.#next([payload.name, `${payload.name}.zst`]), payload);
      }
      for (const attachment of manifest.attachments) {
        yield* readPart(await this.#next([attachment.name]), attachment);
      }
      const extra = await this.#advance();
      if (extra !== undefined)
        throw malformed(`the bundle's entry ${quoteName(extra.header.name)} is one too many`);
      if (!this.#sawEnd()) throw this.#truncated();
    } catch (error) {
      throw await this.#explain(error);
    }
  }

  /** Reads the source to its end and forgets it, so that a sender who is not listening yet can finish. */
  async drain(): Promise<void> {
    this.close();
    // As long as a decoder waits for the source's bytes, they do not flow away.
    if (this.#tar !== this.#source && !this.#tar.closed)
      await new Promise(resolve => this.#tar.once("close", resolve));
    this.#source.resume();
    await this.#sourceEnd;
  }

  close(): void {
    this.#tar.unpipe(this.#extract);
    this.#tar.off("data", this.#count);
    if (this.#tar !== this.#source) this.#tar.destroy();
    this.#extract.destroy();
  }

  async #begin(): Promise<void> {
    const head = await peek(this.#source, ZSTD_MAGIC.length);
    if (head.length < ZSTD_MAGIC.length) {
      this.#receivedBytes = head.length;
      throw this.#truncated(this.#sourceError);
    }
    if (head.equals(ZSTD_MAGIC)) {
      const compressed = this.#source.iterator({ destroyOnReturn: false });
      this.#tar = Readable.from(decompressing(compressed, "zstd", "the bundle", BUNDLE_LIMITS), {
        objectMode: false,
      });
      this.#tar.on("error", error => this.#extract.destroy(error));
    }
    this.#tar.on("data", this.#count);
    this.#tar.pipe(this.#extract);
  }

  /** @param names one of which the next entry must bear */
  async #next(names: readonly [string, ...string[]]): Promise<TarEntry> {
    const entry = await this.#advance();
    if (entry === undefined) {
      if (!this.#sawEnd()) throw this.#truncated();
      throw malformed(`the bundle has no ${names[0]}`);
    }
    const name = quoteName(entry.header.name);
    if (entry.header.type !== "file") throw malformed(`the bundle's entry ${name} is not a plain file`);
    if (!names.includes(entry.header.name)) {
      throw malformed(`the bundle's entry ${name} stands where ${names[0]} belongs`);
    }
    return entry;
  }

  async #readText(name: string, maxBytes: number): Promise<string> {
    const entry = await this.#next([name]);
    const sizeBytes = entry.header.size;
    if (sizeBytes > maxBytes) throw malformed(`${name} has ${sizeBytes} bytes; at most ${maxBytes} are read`);
    const pieces: Uint8Array[] = [];
    for await (const piece of entry) pieces.push(piece);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
    } catch {
      throw malformed(`${name} is not UTF-8 text`);
    }
  }

  /** Turns what tar-stream and the source throw into our words; everything else stays as it is. */
  async #explain(error: unknown): Promise<unknown> {
    if (error instanceof DrpError) return asBundleError(error);
    // An entry can fail with a mere "destroyed" before the archive says why.
    this.#extract.destroy();
    await this.#extractClosed;
    if (this.#sourceError !== undefined) return this.#truncated(this.#sourceError);
    if (this.#archiveError === undefined) return error;
    if (this.#archiveError instanceof DrpError) return asBundleError(this.#archiveError);
    if (this.#archiveError.message === "Unexpected end of data") return this.#truncated();
    return new DrpError(
      "bundle.malformed",
      `this is no tar, or a damaged one, near byte ${this.#receivedBytes}`,
      {
        advice: BUILD_AGAIN,
        cause: this.#archiveError,
      },
    );
  }

  async #advance(): Promise<TarEntry | undefined> {
    const step = await this.#entries.next();
    if (step.done === true) return undefined;
    const entry = step.value;
    const { byteOffset, size } = entry.header;
    this.#contentEndBytes = byteOffset + Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
    return entry;
  }

  /** tar-stream takes an archive that stops between two entries for a whole one. */
  #sawEnd(): boolean {
    return this.#receivedBytes >= this.#contentEndBytes + TAR_END_BYTES;
  }

  #truncated(cause?: unknown): DrpError {
    return new DrpError(
      "bundle.truncated",
      `the bundle ends after ${this.#receivedBytes} bytes, before its end`,
      {
        advice: "Send it again; if that does not help, the file itself is cut short: build it again.",
        facts: { receivedBytes: this.#receivedBytes },
        cause,
      },
    );
  }
}

/** What the parts' names end in tells how they are cut: `.zst` is a zstd file in which each chunk is a frame of its own. */
async function* readPart(entry: TarEntry, part: ChunkedPart): AsyncGenerator<BundledChunk, void, void> {
  const { name, sizeBytes, chunks } = part;
  const form = entry.header.name === name ? "plain" : "frame";
  if (form === "plain" && entry.header.size !== sizeBytes) {
    throw malformed(`${name} has ${entry.header.size} bytes, its manifest says ${sizeBytes}`);
  }
  let index = 0;
  try {
    for await (const bytes of form === "plain" ? splitChunks(entry) : splitFrames(entry)) {
      if (index === chunks.length)
        throw malformed(`${name} goes on after the ${sizeBytes} bytes of its manifest`);
      yield { part, index, form, bytes };
      index++;
    }
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw tamperedChunk(part, index, "cannot be read", cause);
  }
  if (index < chunks.length) throw malformed(`${name} ends in chunk ${index} of ${chunks.length}`);
}

/** What the decoder says of a file it says of a bundle here. */
function asBundleError(error: DrpError): DrpError {
  if (error.code !== "input.unreadable") return error;
  const again = "Send it again; if that does not help, compress it again.";
  return new DrpError("bundle.malformed", error.message, {
    advice: error.facts.windowBytes === undefined ? again : (error.advice ?? again),
    facts: error.facts,
    cause: error,
  });
}

/** The stream's first bytes, which stay in it; fewer, and then taken, where it ends before. */
async function peek(source: Readable, count: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let length = 0; length < count && !source.readableEnded && !source.destroyed; ) {
    const piece: Buffer | null = source.read();
    if (piece === null) {
      await new Promise<void>(resolve => {
        const events = ["readable", "end", "error", "close"];
        const done = () => {
          for (const event of events) source.off(event, done);
          resolve();
        };
        for (const event of events) source.on(event, done);
      });
    } else {
      pieces.push(piece);
      length += piece.length;
    }
  }
  const read = Buffer.concat(pieces);
  if (read.length >= count) source.unshift(read);
  return read.subarray(0, count);
}

/** A part whose bytes are not the signed ones. */
export function tamperedChunk(part: ChunkedPart, index: number, what: string, cause?: unknown): DrpError {
  const offsetBytes = index * part.chunkBytes;
  return new DrpError("bundle.tampered", `${part.name}, chunk ${index} at byte ${offsetBytes}: it ${what}`, {
    advice: "Send the bundle again; if that does not help, build it again.",
    facts: { part: part.name, chunk: index, offsetBytes },
    cause,
  });
}

function parseSignature(text: string): SignedManifest["signature"] {
  try {
    return signatureSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new DrpError("bundle.malformed", "manifest.sig is not a signature", { advice: BUILD_AGAIN, cause });
  }
}

const BUILD_AGAIN = "Make the bundle with `drp images build`.";

function malformed(message: string): DrpError {
  return new DrpError("bundle.malformed", message, { advice: BUILD_AGAIN });
}

/** A hostile name must not fill a log or move a terminal's cursor. */
function quoteName(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
