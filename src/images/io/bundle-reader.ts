/**
 * Reads a bundle (a tar: manifest.json, manifest.sig, the payload, the attachments) as it streams by. It checks the frame and
 * the signature; whether the chunks' bytes are the signed ones is for their consumer.
 */
import { finished, type Readable } from "node:stream";
import tar from "tar-stream";
import { DecodeError, DrpError } from "../../core/errors.ts";
import { splitChunks } from "../chunker.ts";
import type { TrustedKey } from "../keys.ts";
import { type ChunkedPart, type Manifest, signatureSchema } from "../manifest.ts";
import { MAX_MANIFEST_BYTES, type SignedManifest, verifyManifest } from "../signature.ts";
import { splitFrames } from "../zstd-frames.ts";

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

/** tar-stream keeps a pax header in memory until it is whole, whatever its size; ours have none, other tools' a few KiB. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
/** A signature is 200 bytes of JSON. */
const MAX_SIGNATURE_BYTES = 4096;
const TAR_BLOCK_BYTES = 512;
/** Two blocks of zeros end an archive (POSIX.1 pax, ustar). */
const TAR_END_BYTES = 2 * TAR_BLOCK_BYTES;

/**
 * Ask in this order: `readManifest`, then `chunks` to their end or `drain`, then `close` in any case. The source is never
 * destroyed here; after an error it is paused with its rest unread. All methods throw DrpError: bundle.truncated,
 * bundle.malformed, bundle.tampered; `readManifest` also what `verifyManifest` throws.
 */
export class BundleReader {
  readonly #source: Readable;
  readonly #extract = tar.extract();
  readonly #entries: AsyncIterator<TarEntry>;
  readonly #sourceEnd: Promise<void>;
  readonly #extractClosed: Promise<void>;
  readonly #count = (bytes: Uint8Array): void => {
    this.#receivedBytes += bytes.length;
    if (this.#receivedBytes - this.#readBytes <= MAX_UNREAD_BYTES) return;
    this.#extract.destroy(
      malformed(`the bundle's header at byte ${this.#readBytes} is longer than any entry needs`),
    );
  };
  #receivedBytes = 0;
  /** How far into the tar its entries have been read. */
  #readBytes = 0;
  /** Where the last entry's content ends in the tar. */
  #contentEndBytes = 0;
  #archiveError: Error | undefined;
  #sourceError: Error | undefined;

  constructor(source: Readable) {
    this.#source = source;
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
    source.on("data", this.#count);
    source.pipe(this.#extract);
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
        yield* this.#readPart(await this.#next([payload.name, `${payload.name}.zst`]), payload);
      }
      for (const attachment of manifest.attachments) {
        yield* this.#readPart(await this.#next([attachment.name]), attachment);
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
    this.#source.resume();
    await this.#sourceEnd;
  }

  close(): void {
    this.#source.unpipe(this.#extract);
    this.#source.off("data", this.#count);
    this.#extract.destroy();
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
    for await (const piece of this.#content(entry)) pieces.push(piece);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
    } catch {
      throw malformed(`${name} is not UTF-8 text`);
    }
  }

  /** Turns what tar-stream and the source throw into our words; everything else stays as it is. */
  async #explain(error: unknown): Promise<unknown> {
    if (error instanceof DrpError) return error;
    // An entry can fail with a mere "destroyed" before the archive says why.
    this.#extract.destroy();
    await this.#extractClosed;
    if (this.#sourceError !== undefined) return this.#truncated(this.#sourceError);
    if (this.#archiveError === undefined) return error;
    if (this.#archiveError instanceof DrpError) return this.#archiveError;
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

  /** What the parts' names end in tells how they are cut: `.zst` is a zstd file in which each chunk is a frame of its own. */
  async *#readPart(entry: TarEntry, part: ChunkedPart): AsyncGenerator<BundledChunk, void, void> {
    const { name, sizeBytes, chunks } = part;
    const form = entry.header.name === name ? "plain" : "frame";
    if (form === "plain" && entry.header.size !== sizeBytes) {
      throw malformed(`${name} has ${entry.header.size} bytes, its manifest says ${sizeBytes}`);
    }
    const content = this.#content(entry);
    let index = 0;
    try {
      for await (const bytes of form === "plain" ? splitChunks(content) : splitFrames(content)) {
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

  async *#content(entry: TarEntry): AsyncGenerator<Uint8Array, void, void> {
    for await (const piece of entry) {
      this.#readBytes += piece.length;
      yield piece;
    }
  }

  async #advance(): Promise<TarEntry | undefined> {
    const step = await this.#entries.next();
    if (step.done === true) return undefined;
    const entry = step.value;
    const { byteOffset, size } = entry.header;
    this.#readBytes = byteOffset;
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
