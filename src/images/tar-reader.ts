/**
 * Reads a tar as it streams by: ustar, pax, GNU and Version 7, with bytes as bytes. (tar-stream reads our own bundles; it
 * decodes every pax value as UTF-8, which breaks binary attributes, and does not know sparse files.) What it cannot read for
 * certain it refuses, so that no two readers can see two different file systems in one archive.
 */
import { DecodeError, DrpError } from "../core/errors.ts";
import { entryError } from "./archive-entry.ts";
import { ByteReader } from "./byte-reader.ts";
import { collectXattrs, decodePaxRecords, type PaxRecord } from "./pax-records.ts";
import { decodeTarHeader, TAR_BLOCK_BYTES, type TarHeader } from "./tar-header.ts";
import {
  checkStretches,
  OldSparseMap,
  parseCount,
  readLeadingMap,
  readPaxSparse,
  type Stretch,
} from "./tar-sparse.ts";
import type { NodeAttributes } from "./tree-node.ts";

export interface TarEntry {
  /** Byte strings, as in tree-node.ts. */
  readonly name: string;
  /** Of the entry's first header. */
  readonly offsetBytes: number;
  readonly attributes: NodeAttributes;
  readonly body:
    | { readonly kind: "directory" | "fifo" }
    | { readonly kind: "hard-link" | "symlink"; readonly target: string }
    | { readonly kind: "character-device" | "block-device"; readonly major: number; readonly minor: number }
    | { readonly kind: "file"; readonly sizeBytes: number; readonly stretches: readonly Stretch[] };
  /** A file's bytes, one stretch after the other; read or not before the next entry is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

const ZEROS = Buffer.alloc(TAR_BLOCK_BYTES);
/** Of one extended header or long name. */
const MAX_EXTENSION_BYTES = 4 * 1024 * 1024;
const NO_CONTENT = { async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {} };

/** What stands before an entry's own header. */
interface Extensions {
  /** The entry's own; the archive's may stand between them and the header. */
  records: readonly PaxRecord[];
  name: string | undefined;
  linkName: string | undefined;
}

/** @throws {DrpError} input.unreadable with the entry's name and its offset in the archive; what the source throws */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, void> {
  const reader = new TarReader(new ByteReader(source));
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) yield entry;
  } finally {
    await reader.close();
  }
}

class TarReader {
  readonly #bytes: ByteReader;
  #globalRecords: readonly PaxRecord[] = [];
  /** Of the entry that was given out. */
  #contentBytes = 0;
  /** The same with the filling of its last block. */
  #unreadBytes = 0;

  constructor(bytes: ByteReader) {
    this.#bytes = bytes;
  }

  close(): Promise<void> {
    return this.#bytes.close();
  }

  async next(): Promise<TarEntry | undefined> {
    await this.#skip("the content before");
    const offsetBytes = this.#bytes.offsetBytes;
    const extensions: Extensions = { records: [], name: undefined, linkName: undefined };
    for (;;) {
      const headerAt = this.#bytes.offsetBytes;
      const block = Buffer.from(await this.#takeBlock("a header"));
      if (block.equals(ZEROS)) {
        await this.#end(headerAt, headerAt !== offsetBytes);
        return undefined;
      }
      const header = atArchive(headerAt, () => decodeTarHeader(block));
      if (await this.#takeExtension(header, extensions, headerAt)) continue;
      // An entry's own records come after the archive's, and the last one counts.
      extensions.records = [...this.#globalRecords, ...extensions.records];
      const name = lastText(extensions.records, "path") ?? extensions.name ?? header.name;
      try {
        return await this.#entry(block, header, extensions, offsetBytes);
      } catch (cause) {
        if (!(cause instanceof DecodeError)) throw cause;
        throw entryError({ name, offsetBytes }, cause.message);
      }
    }
  }

  async #entry(
    block: Buffer,
    header: TarHeader,
    extensions: Extensions,
    offsetBytes: number,
  ): Promise<TarEntry> {
    const { records } = extensions;
    const text = (key: string) => lastText(records, key);
    const size = text("size");
    const storedBytes = size === undefined ? header.sizeBytes : parseCount(size);
    if (storedBytes < 0) throw new DecodeError(`has ${storedBytes} bytes`);
    const sparse = readPaxSparse(records);
    const name = sparse?.name ?? text("path") ?? extensions.name ?? header.name;
    const target = text("linkpath") ?? extensions.linkName ?? header.linkName;
    const attributes: NodeAttributes = {
      mode: header.mode & 0o7777,
      uid: parseOwner(text("uid")) ?? header.uid,
      gid: parseOwner(text("gid")) ?? header.gid,
      mtime: parseTime(text("mtime")) ?? header.mtime,
      xattrs: collectXattrs(records),
    };
    const make = (body: TarEntry["body"], content: TarEntry["content"] = NO_CONTENT): TarEntry => ({
      name,
      offsetBytes,
      attributes,
      body,
      content,
    });
    const isDirectory = header.type === "5" || (header.type === "0" && name.endsWith("/"));
    // Some write the size of the file that is linked to; nobody writes its content, GNU tar and Go expect none.
    if (header.type === "1") return make({ kind: "hard-link", target });
    const hasContent = header.type === "0" || header.type === "7" || header.type === "S";
    if (storedBytes > 0 && (!hasContent || isDirectory)) {
      throw new DecodeError(
        `has ${storedBytes} bytes of content, which its type "${header.type}" cannot have`,
      );
    }
    if (isDirectory) return make({ kind: "directory" });
    switch (header.type) {
      case "2":
        return make({ kind: "symlink", target });
      case "3":
        return make({ kind: "character-device", major: header.major, minor: header.minor });
      case "4":
        return make({ kind: "block-device", major: header.major, minor: header.minor });
      case "6":
        return make({ kind: "fifo" });
      case "0":
      case "7":
      case "S": {
        const file = await this.#locateContent(block, header, sparse, storedBytes);
        return make({ kind: "file", ...file }, this.#content());
      }
      default:
        throw new DecodeError(`is of the type ${JSON.stringify(header.type)}, which is not known`);
    }
  }

  /** Reads the map of a sparse file, wherever it stands, and notes what is left to read. */
  async #locateContent(
    block: Buffer,
    header: TarHeader,
    sparse: ReturnType<typeof readPaxSparse>,
    storedBytes: number,
  ): Promise<{ sizeBytes: number; stretches: readonly Stretch[] }> {
    if (header.type === "S") {
      const map = new OldSparseMap(block);
      while (map.more) map.add(await this.#takeBlock("a sparse map"));
      this.#expect(storedBytes);
      return {
        sizeBytes: map.sizeBytes,
        stretches: checkStretches(map.stretches, map.sizeBytes, storedBytes),
      };
    }
    this.#expect(storedBytes);
    if (sparse === undefined) {
      const stretches = storedBytes === 0 ? [] : [{ offsetBytes: 0, sizeBytes: storedBytes }];
      return { sizeBytes: storedBytes, stretches };
    }
    let contentBytes = storedBytes;
    const stretches =
      sparse.stretches ??
      (await readLeadingMap(async () => {
        contentBytes -= TAR_BLOCK_BYTES;
        if (contentBytes < 0) throw new DecodeError("has a sparse map that is longer than its content");
        this.#unreadBytes -= TAR_BLOCK_BYTES;
        this.#contentBytes -= TAR_BLOCK_BYTES;
        return await this.#takeBlock("a sparse map");
      }));
    return {
      sizeBytes: sparse.sizeBytes,
      stretches: checkStretches(stretches, sparse.sizeBytes, contentBytes),
    };
  }

  #expect(contentBytes: number): void {
    this.#contentBytes = contentBytes;
    this.#unreadBytes = Math.ceil(contentBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
  }

  async *#content(): AsyncGenerator<Uint8Array, void, void> {
    for await (const piece of this.#bytes.pieces(this.#contentBytes)) {
      this.#contentBytes -= piece.length;
      this.#unreadBytes -= piece.length;
      yield piece;
    }
    if (this.#contentBytes > 0) throw this.#truncated("its content");
  }

  async #skip(what: string): Promise<void> {
    for await (const piece of this.#bytes.pieces(this.#unreadBytes)) this.#unreadBytes -= piece.length;
    if (this.#unreadBytes > 0) throw this.#truncated(what);
  }

  /** @returns whether the header only tells of the one that follows */
  async #takeExtension(header: TarHeader, extensions: Extensions, headerAt: number): Promise<boolean> {
    if (!"xXgLKV".includes(header.type)) return false;
    if (header.sizeBytes < 0 || header.sizeBytes > MAX_EXTENSION_BYTES) {
      throw archiveError(headerAt, `is an extension of ${header.sizeBytes} bytes`);
    }
    const bytes = Buffer.from(await this.#bytes.take(header.sizeBytes));
    if (bytes.length < header.sizeBytes) throw this.#truncated("an extended header");
    this.#unreadBytes = (TAR_BLOCK_BYTES - (header.sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
    await this.#skip("an extended header");
    const upToNul = bytes.toString("latin1").replace(/\0.*$/s, "");
    if (header.type === "L") extensions.name = upToNul;
    else if (header.type === "K") extensions.linkName = upToNul;
    else if (header.type !== "V") {
      const records = atArchive(headerAt, () => decodePaxRecords(bytes));
      if (header.type === "g") this.#globalRecords = records;
      else extensions.records = records;
    }
    return true;
  }

  /** Two blocks of zeros, then whatever fills up the last record. */
  async #end(zerosAt: number, isInEntry: boolean): Promise<void> {
    if (isInEntry) throw archiveError(zerosAt, "is zeros where the header of an entry belongs");
    const second = await this.#bytes.take(TAR_BLOCK_BYTES);
    if (second.some(byte => byte !== 0)) throw archiveError(zerosAt, "is zeros with more archive behind it");
    await this.#bytes.drain();
  }

  async #takeBlock(what: string): Promise<Buffer> {
    const block = await this.#bytes.take(TAR_BLOCK_BYTES);
    if (block.length < TAR_BLOCK_BYTES) throw this.#truncated(what);
    return block;
  }

  #truncated(what: string): DrpError {
    const { offsetBytes } = this.#bytes;
    return new DrpError("input.unreadable", `the tar ends after ${offsetBytes} bytes, within ${what}`, {
      advice: "Make or copy it again: it is cut short.",
      facts: { offsetBytes },
    });
  }
}

/** An empty value takes back what the archive's own records say. */
function lastText(records: readonly PaxRecord[], key: string): string | undefined {
  return records.findLast(record => record[0] === key)?.[1].toString("latin1") || undefined;
}

/** Seconds, perhaps with a fraction: "1700000000.25", "-1.5". The fraction is left out. */
function parseTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^-?[0-9]{1,15}(\.[0-9]*)?$/.test(text)) throw new DecodeError(`has the time ${JSON.stringify(text)}`);
  return Math.floor(Number(text));
}

const parseOwner = (text: string | undefined) => (text === undefined ? undefined : parseCount(text));

function archiveError(offsetBytes: number, what: string): DrpError {
  return new DrpError("input.unreadable", `the tar's block at byte ${offsetBytes} ${what}`, {
    advice: "Make or copy it again.",
    facts: { offsetBytes },
  });
}

function atArchive<T>(offsetBytes: number, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw archiveError(offsetBytes, cause.message);
  }
}
