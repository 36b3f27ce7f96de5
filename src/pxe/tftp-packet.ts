/** TFTP packets as bytes (RFC 1350 §5; options by RFC 2347). Only what a server that is read from sends and gets. */
import { DecodeError } from "../core/errors.ts";

export type TftpPacket =
  | {
      readonly kind: "read" | "write";
      readonly fileName: string;
      readonly mode: string;
      /** Names in lower case. */
      readonly options: ReadonlyMap<string, string>;
    }
  | { readonly kind: "ack"; readonly block: number }
  | { readonly kind: "error"; readonly code: number; readonly message: string };

export const TFTP_ERROR = {
  undefined: 0,
  fileNotFound: 1,
  accessViolation: 2,
  unknownTransfer: 5,
  optionRefused: 8,
} as const;

const OPCODE = { read: 1, write: 2, data: 3, ack: 4, error: 5, optionAck: 6 } as const;
/** RFC 2347 holds a request to 512 bytes; firmware with long paths is allowed a frame. */
const MAX_PACKET_BYTES = 1500;

/** @throws {DecodeError} with the offset in bytes */
export function decodeTftp(bytes: Uint8Array): TftpPacket {
  if (bytes.length < 4) throw new DecodeError(`packet ends at offset ${bytes.length}; 4 bytes are the least`);
  if (bytes.length > MAX_PACKET_BYTES) {
    throw new DecodeError(`packet has ${bytes.length} bytes; at most ${MAX_PACKET_BYTES} are read`);
  }
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const opcode = packet.readUInt16BE(0);
  switch (opcode) {
    case OPCODE.read:
      return { kind: "read", ...decodeRequest(packet) };
    case OPCODE.write:
      return { kind: "write", ...decodeRequest(packet) };
    case OPCODE.ack:
      return { kind: "ack", block: packet.readUInt16BE(2) };
    case OPCODE.error:
      return { kind: "error", code: packet.readUInt16BE(2), message: decodeString(packet, 4)?.text ?? "" };
    default:
      throw new DecodeError(`opcode ${opcode} at offset 0 is none that a server gets`);
  }
}

function decodeRequest(packet: Buffer): {
  fileName: string;
  mode: string;
  options: ReadonlyMap<string, string>;
} {
  const strings: string[] = [];
  for (let offset = 2; offset < packet.length; ) {
    const string = decodeString(packet, offset);
    // Some ROMs pad the packet after the last string.
    if (string === undefined && strings.length >= 2) break;
    if (string === undefined) throw new DecodeError(`string at offset ${offset} does not end`);
    strings.push(string.text);
    offset = string.end;
  }
  const [fileName, mode, ...rest] = strings;
  if (fileName === undefined || mode === undefined)
    throw new DecodeError("request without a file name and a mode");
  const options = new Map<string, string>();
  for (let index = 0; index + 1 < rest.length; index += 2) {
    options.set((rest[index] ?? "").toLowerCase(), rest[index + 1] ?? "");
  }
  return { fileName, mode: mode.toLowerCase(), options };
}

function decodeString(packet: Buffer, offset: number): { text: string; end: number } | undefined {
  const end = packet.indexOf(0, offset);
  return end < 0 ? undefined : { text: packet.toString("latin1", offset, end), end: end + 1 };
}

/** The first four bytes of a data packet; the block's bytes follow. */
export function encodeDataHeader(block: number): Uint8Array {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(OPCODE.data, 0);
  header.writeUInt16BE(block & 0xffff, 2);
  return header;
}

export function encodeOptionAck(options: ReadonlyMap<string, string>): Uint8Array {
  const strings = [...options].map(([name, value]) => `${name}\0${value}\0`);
  return Buffer.concat([Uint8Array.of(0, OPCODE.optionAck), Buffer.from(strings.join(""), "latin1")]);
}

export function encodeTftpError(code: number, message: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(0, OPCODE.error, 0, code), Buffer.from(`${message}\0`, "latin1")]);
}
