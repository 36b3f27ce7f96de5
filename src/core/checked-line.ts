/** Lines of a journal: a checksum before each one's JSON, so that a torn or rotten line is known. Knows no file. */
import { hash } from "node:crypto";

/** 32 bits of SHA-256: nobody is kept from forging one. */
const CHECKSUM_LENGTH = 8;

/** With its newline. */
export function encodeCheckedLine(content: unknown): string {
  const json = JSON.stringify(content);
  return `${checksum(json)} ${json}\n`;
}

/** @param line without its newline @returns undefined for a torn or rotten line */
export function decodeCheckedLine(line: Uint8Array): unknown {
  const text = Buffer.from(line).toString("utf8");
  const json = text.slice(CHECKSUM_LENGTH + 1);
  return text.slice(0, CHECKSUM_LENGTH + 1) === `${checksum(json)} ` ? JSON.parse(json) : undefined;
}

/** An end without a newline is torn, and given as an empty line, which is none. */
export function* splitLines(
  bytes: Uint8Array,
): Generator<{ readonly offset: number; readonly bytes: Uint8Array }> {
  for (let offset = 0; offset < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, offset);
    yield { offset, bytes: bytes.subarray(offset, Math.max(newline, offset)) };
    offset = newline < 0 ? bytes.length : newline + 1;
  }
}

function checksum(text: string): string {
  return hash("sha256", text).slice(0, CHECKSUM_LENGTH);
}
