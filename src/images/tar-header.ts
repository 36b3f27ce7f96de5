/** One header block of a tar: POSIX ustar (IEEE Std 1003.1, pax), GNU's and the old form of Version 7. */
import { DecodeError } from "../core/errors.ts";

export const TAR_BLOCK_BYTES = 512;
/** Two blocks of zeros end an archive (POSIX.1 pax, ustar). */
export const TAR_END_BYTES = 2 * TAR_BLOCK_BYTES;

export interface TarHeader {
  /** Byte strings. */
  readonly name: string;
  readonly linkName: string;
  /** "0", "5", "x" … */
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: number;
  readonly major: number;
  readonly minor: number;
}

/** @throws {DecodeError} telling the field */
export function decodeTarHeader(block: Buffer): TarHeader {
  if (!isChecksumRight(block)) throw new DecodeError("is no tar header: its checksum is wrong");
  const isPosix = block.toString("latin1", 257, 263) === "ustar\0";
  const isGnu = block.toString("latin1", 257, 265) === "ustar  \0";
  const hasDevice = isPosix || isGnu;
  const prefix = isPosix ? readText(block, 345, 155) : "";
  const name = readText(block, 0, 100);
  const type = String.fromCharCode(block.readUInt8(156));
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkName: readText(block, 157, 100),
    type: type === "\0" ? "0" : type,
    mode: readNumber(block, 100, 8, "mode"),
    uid: readNumber(block, 108, 8, "user"),
    gid: readNumber(block, 116, 8, "group"),
    sizeBytes: readNumber(block, 124, 12, "size"),
    mtime: readNumber(block, 136, 12, "time"),
    major: hasDevice ? readNumber(block, 329, 8, "device number") : 0,
    minor: hasDevice ? readNumber(block, 337, 8, "device number") : 0,
  };
}

/** The sum of all bytes, its own eight taken as blanks; some old programs summed them with a sign. */
function isChecksumRight(block: Buffer): boolean {
  let unsigned = 8 * 0x20;
  let signed = unsigned;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) {
    if (at >= 148 && at < 156) continue;
    const byte = block.readUInt8(at);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const told = /^ *([0-7]+)[ \0]/.exec(block.toString("latin1", 148, 156))?.[1] ?? "";
  return [unsigned, signed].includes(Number.parseInt(told, 8));
}

/** Up to the first NUL, or all of the field. */
function readText(block: Buffer, start: number, length: number): string {
  const field = block.toString("latin1", start, start + length);
  const end = field.indexOf("\0");
  return end === -1 ? field : field.slice(0, end);
}

/**
 * Octal digits, ended by a blank or NUL; or, with the first bit set, GNU's big-endian number in two's complement.
 *
 * @throws {DecodeError}
 */
export function readNumber(block: Buffer, start: number, length: number, what: string): number {
  const field = block.subarray(start, start + length);
  const first = field.readUInt8(0);
  if (first === 0x80 || first === 0xff) {
    let value = first === 0xff ? -1n : 0n;
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new DecodeError(`has a ${what} of ${value}`);
    return number;
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(field.toString("latin1"))?.[1];
  if (digits === undefined) throw new DecodeError(`has a ${what} that is no octal number`);
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}
