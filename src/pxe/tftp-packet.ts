/** TFTP packets as bytes (RFC 1350 §5; options by RFC 2347). Only what a server that is read from sends and gets. */
import { DecodeError } from "../core/errors.ts";

export type TftpPacket =
  | ({ readonly kind: "read" | "write" } & TftpRequest)
  | { readonly kind: "ack"; readonly block: number }
  | { readonly kind: "error"; readonly code: number; readonly message: string };

export interface TftpRequest {
  /** As it came, one character a byte. */
  readonly fileName: string;
  /** In lower case. */
  readonly mode: string;
  /** Names in lower case; the first of two equal ones counts. */
  readonly options: ReadonlyMap<string, string>;
}

export const TFTP_ERROR = {
  undefined: 0,
  fileNotFound: 1,
  accessViolation: 2,
  unknownTransfer: 5,
  /** RFC 2347: the client does not accept what we agreed to. */
  optionRefused: 8,
} as const;

const OPCODE = { read: 1, write: 2, data: 3, ack: 4, error: 5, optionAck: 6 } as const;
/** RFC 2347 holds a request to 512 bytes; firmware with long paths is allowed a frame. */
const MAX_PACKET_BYTES = 1500;
/** There are six options; a frame has room for 700. */
const MAX_OPTIONS = 32;

/** @throws {DecodeError} with the offset in bytes */
export function decodeTftp(bytes: Uint8Array): TftpPacket {
  const [high, opcode, third, fourth] = bytes;
  if (high === undefined || opcode === undefined || third === undefined || fourth === undefined) {
    throw new DecodeError(`packet ends at offset ${bytes.length}; 4 bytes are the least`);
  }
  // First, and without a copy: it comes once a block.
  if (high === 0 && opcode === OPCODE.ack) return { kind: "ack", block: (third << 8) | fourth };
  if (bytes.length > MAX_PACKET_BYTES) {
    throw new DecodeError(`packet has ${bytes.length} bytes; at most ${MAX_PACKET_BYTES} are read`);
  }
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (packet.readUInt16BE(0)) {
    case OPCODE.read:
      return { kind: "read", ...decodeRequest(packet) };
    case OPCODE.write:
      return { kind: "write", ...decodeRequest(packet) };
    case OPCODE.error:
      return { kind: "error", code: packet.readUInt16BE(2), message: decodeString(packet, 4)?.text ?? "" };
    default:
      throw new DecodeError(`opcode ${packet.readUInt16BE(0)} at offset 0 is none that a server gets`);
  }
}

/** As decodeTftp(); undefined for bytes that are no packet. */
export function tryDecodeTftp(bytes: Uint8Array): TftpPacket | undefined {
  try {
    return decodeTftp(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

function decodeRequest(packet: Buffer): TftpRequest {
  const fileName = decodeString(packet, 2);
  if (fileName === undefined) throw new DecodeError("string at offset 2 does not end");
  const mode = decodeString(packet, fileName.end);
  if (mode === undefined) throw new DecodeError(`string at offset ${fileName.end} does not end`);
  return {
    fileName: fileName.text,
    mode: mode.text.toLowerCase(),
    options: decodeOptions(packet, mode.end),
  };
}

/**
 * ROMs pad: with zeros or rubbish after the last string, and with blanks around a number. What makes no pair of a name and
 * a value is passed over; the client then gets the transfer without that option, as RFC 2347 has it for unknown ones.
 */
function decodeOptions(packet: Buffer, start: number): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (let offset = start; options.size < MAX_OPTIONS; ) {
    const name = decodeString(packet, offset);
    if (name === undefined) break;
    offset = name.end;
    if (name.text === "") continue;
    const value = decodeString(packet, offset);
    if (value === undefined) break;
    offset = value.end;
    const key = name.text.trim().toLowerCase();
    if (!options.has(key)) options.set(key, value.text.trim());
  }
  return options;
}

function decodeString(packet: Buffer, offset: number): { text: string; end: number } | undefined {
  const end = packet.indexOf(0, offset);
  return end < 0 ? undefined : { text: packet.toString("latin1", offset, end), end: end + 1 };
}

/** Of every block number, made once: a transfer needs one for each block. */
const DATA_HEADERS = encodeDataHeaders();

function encodeDataHeaders(): Buffer {
  const headers = Buffer.alloc(4 * 65_536);
  for (let block = 0; block < 65_536; block++) {
    headers.writeUInt16BE(OPCODE.data, block * 4);
    headers.writeUInt16BE(block, block * 4 + 2);
  }
  return headers;
}

/**
 * The first four bytes of a data packet; the block's bytes follow.
 *
 * @param block counted without wrapping
 * @returns shared bytes: read them, do not write
 */
export function encodeDataHeader(block: number): Uint8Array {
  const offset = (block & 0xffff) * 4;
  return DATA_HEADERS.subarray(offset, offset + 4);
}

export function encodeOptionAck(options: ReadonlyMap<string, string>): Uint8Array {
  const strings = [...options].map(([name, value]) => `${name}\0${value}\0`);
  return Buffer.concat([Uint8Array.of(0, OPCODE.optionAck), Buffer.from(strings.join(""), "latin1")]);
}

export function encodeTftpError(code: number, message: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(0, OPCODE.error, 0, code), Buffer.from(`${message}\0`, "latin1")]);
}
