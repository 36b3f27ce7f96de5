/**
 * A capture as text that a review can read and git can keep: lines with "#" say where it comes from and which link type it
 * has, every paragraph of hexadecimal is one frame.
 */
import { DecodeError } from "../../../src/core/errors.ts";
import type { CapturedFrame } from "./read-capture.ts";
import { LINK_TYPE } from "./write-capture.ts";

const BYTES_PER_LINE = 32;

/** @throws {DecodeError} naming the line that is no hexadecimal, or a link type that is not known */
export function readHexCapture(text: string): CapturedFrame[] {
  const linkType = linkTypeOf(text);
  const frames: string[] = [];
  let open = false;
  for (const [index, line] of text.split("\n").entries()) {
    const hex = line.replaceAll(/\s/g, "");
    if (hex.startsWith("#")) continue;
    if (hex === "") {
      open = false;
      continue;
    }
    if (!/^([0-9a-f]{2})+$/.test(hex))
      throw new DecodeError(`line ${index + 1} holds no whole bytes in hexadecimal`);
    frames.push((open ? (frames.pop() ?? "") : "") + hex);
    open = true;
  }
  return frames.map(hex => {
    const bytes = new Uint8Array(Buffer.from(hex, "hex"));
    return { linkType, bytes, originalBytes: bytes.length, at: null };
  });
}

/** Ethernet unless "# link type: raw" says otherwise. */
function linkTypeOf(text: string): number {
  const name = /^# link type: (\w+)$/m.exec(text)?.[1] ?? "ethernet";
  const linkType = new Map<string, number>(Object.entries(LINK_TYPE)).get(name);
  if (linkType === undefined) throw new DecodeError(`no link type has the name ${name}`);
  return linkType;
}

/** @param about what captured it, of what, and under which licence it may be kept: one line each */
export function writeHexCapture(about: readonly string[], frames: readonly CapturedFrame[]): string {
  const paragraphs = frames.map(({ bytes }) => {
    const hex = Buffer.from(bytes).toString("hex");
    const lines = hex.match(new RegExp(`.{1,${BYTES_PER_LINE * 2}}`, "g")) ?? [];
    return `${lines.join("\n")}\n`;
  });
  return [`${about.map(line => `# ${line}\n`).join("")}`, ...paragraphs].join("\n");
}
