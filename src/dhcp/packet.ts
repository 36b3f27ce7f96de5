/**
 * DHCP messages as bytes (RFC 2131 §2, options by RFC 2132 §2, overload by §9.3, long options by RFC 3396). Knows layout,
 * not meaning.
 */
import { DecodeError } from "../core/errors.ts";
import type { Ipv4 } from "../core/ipv4.ts";
import { type DhcpOptions, OPTION, type OptionEntry, readUint8, textUntilNul } from "./options.ts";
import { encodedOptionBytes, MAX_PART_BYTES, type OptionRoom, packOptions } from "./overload.ts";

export const MESSAGE_TYPE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

export const BOOT_REQUEST = 1;
export const BOOT_REPLY = 2;

export interface DhcpMessage {
  /** BOOT_REQUEST from clients, BOOT_REPLY from servers. */
  readonly op: number;
  /** Hardware type: 1 is Ethernet. */
  readonly htype: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  readonly broadcast: boolean;
  /** The client's address while it has one. */
  readonly ciaddr: Ipv4;
  /** The address that the server gives. */
  readonly yiaddr: Ipv4;
  /** The server to load the boot file from. */
  readonly siaddr: Ipv4;
  /** The relay through which the message came; zero without one. */
  readonly giaddr: Ipv4;
  /** Hardware address, hlen bytes. */
  readonly chaddr: Uint8Array;
  /** Server name, at most 64 bytes; empty where the field carries options. */
  readonly sname: string;
  /** Boot file, at most 128 bytes; empty where the field carries options. */
  readonly file: string;
  readonly options: DhcpOptions;
}

const SNAME = { offset: 44, length: 64 };
const FILE = { offset: 108, length: 128 };
const COOKIE_OFFSET = 236;
const OPTIONS_OFFSET = 240;
const MAGIC_COOKIE = 0x63825363;
/** chaddr is a field of 16 bytes. */
const MAX_HLEN = 16;
const BROADCAST_FLAG = 0x8000;
const PAD = 0;
const END = 255;
/** BOOTP's 300 bytes: some relays and ROMs drop anything shorter (RFC 1542 §2.1). */
const MIN_MESSAGE_BYTES = 300;
/** Boot clients send at most one Ethernet frame; four leave room and bound what one packet can cost. */
const MAX_MESSAGE_BYTES = 6000;

/**
 * @param bytes one UDP payload; nothing of it is kept
 * @throws {DecodeError} naming the field and the offset in bytes
 */
export function decodePacket(bytes: Uint8Array): DhcpMessage {
  if (bytes.length < OPTIONS_OFFSET) {
    throw new DecodeError(`message ends at offset ${bytes.length}; options begin at ${OPTIONS_OFFSET}`);
  }
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new DecodeError(`message has ${bytes.length} bytes; at most ${MAX_MESSAGE_BYTES} are read`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const op = view.getUint8(0);
  if (op !== BOOT_REQUEST && op !== BOOT_REPLY) {
    throw new DecodeError(`op is ${op} at offset 0; 1 and 2 are known`);
  }
  const hlen = view.getUint8(2);
  if (hlen > MAX_HLEN) {
    throw new DecodeError(`hlen is ${hlen} at offset 2; chaddr holds ${MAX_HLEN} bytes`);
  }
  if (view.getUint32(COOKIE_OFFSET) !== MAGIC_COOKIE) {
    throw new DecodeError(`no DHCP magic cookie at offset ${COOKIE_OFFSET}`);
  }
  const { options, overload } = decodeOptions(bytes);
  const text = (field: typeof FILE) =>
    textUntilNul(bytes.subarray(field.offset, field.offset + field.length));
  return {
    op,
    htype: view.getUint8(1),
    hops: view.getUint8(3),
    xid: view.getUint32(4),
    secs: view.getUint16(8),
    broadcast: (view.getUint16(10) & BROADCAST_FLAG) !== 0,
    ciaddr: view.getUint32(12) as Ipv4,
    yiaddr: view.getUint32(16) as Ipv4,
    siaddr: view.getUint32(20) as Ipv4,
    giaddr: view.getUint32(24) as Ipv4,
    chaddr: copyOf(bytes, 28, 28 + hlen),
    sname: overload & OVERLOAD_SNAME ? "" : text(SNAME),
    file: overload & OVERLOAD_FILE ? "" : text(FILE),
    options,
  };
}

const OVERLOAD_FILE = 1;
const OVERLOAD_SNAME = 2;

/** The options field first, then `file`, then `sname`: the order in which RFC 3396 §5 joins parts. */
function decodeOptions(bytes: Uint8Array): { options: DhcpOptions; overload: number } {
  const options = new Map<number, Uint8Array>();
  readOptions(bytes, OPTIONS_OFFSET, bytes.length, options);
  const overload = readUint8(options, OPTION.overload) ?? 0;
  if (overload & OVERLOAD_FILE) readOptions(bytes, FILE.offset, FILE.offset + FILE.length, options);
  if (overload & OVERLOAD_SNAME) readOptions(bytes, SNAME.offset, SNAME.offset + SNAME.length, options);
  options.delete(OPTION.overload);
  return { options, overload };
}

/** A missing end option is forgiven: the field's end ends it, as in messages of old boot ROMs. */
function readOptions(bytes: Uint8Array, start: number, end: number, into: Map<number, Uint8Array>): void {
  let offset = start;
  while (offset < end) {
    const code = bytes[offset];
    if (code === undefined || code === END) return;
    if (code === PAD) {
      offset++;
      continue;
    }
    const length = offset + 1 < end ? bytes[offset + 1] : undefined;
    if (length === undefined) throw new DecodeError(`option ${code} has no length at offset ${offset + 1}`);
    const valueOffset = offset + 2;
    if (valueOffset + length > end) {
      throw new DecodeError(
        `option ${code} claims ${length} bytes at offset ${valueOffset}; ${end - valueOffset} remain`,
      );
    }
    const earlier = into.get(code);
    const next = valueOffset + length;
    into.set(
      code,
      earlier === undefined
        ? copyOf(bytes, valueOffset, next)
        : join(earlier, bytes.subarray(valueOffset, next)),
    );
    offset = next;
  }
}

/** The receive buffer is not ours to keep. */
function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** Whether everything goes into a message of this size, `file` and `sname` taken for options where they are empty. */
export function fitsMessage(message: DhcpMessage, maxBytes: number): boolean {
  const room = maxBytes - OPTIONS_OFFSET;
  return (
    encodedOptionsLength(message.options) <= room || packOptions(message.options, roomFor(message, room)).fits
  );
}

/**
 * Options go into the options field in the map's order; long ones in parts (RFC 3396). Where the field is full, they go on in
 * `file` and `sname`, if those are empty (RFC 2132 §9.3).
 *
 * @param maxBytes what the client takes. A message whose options fit nowhere is longer: leaving some out is `fitOptions()`'s
 * @throws {RangeError} when a name is longer than its field
 */
export function encodePacket(message: DhcpMessage, maxBytes = Number.POSITIVE_INFINITY): Uint8Array {
  const length = encodedOptionsLength(message.options);
  const room = maxBytes - OPTIONS_OFFSET;
  if (length <= room) {
    const bytes = Buffer.alloc(Math.max(MIN_MESSAGE_BYTES, OPTIONS_OFFSET + length));
    writeFields(bytes, message);
    writeOptions(bytes, OPTIONS_OFFSET, message.options);
    return bytes;
  }
  const { field, file, sname } = packOptions(message.options, roomFor(message, room));
  const overload = (file.length > 0 ? OVERLOAD_FILE : 0) | (sname.length > 0 ? OVERLOAD_SNAME : 0);
  if (overload !== 0) field.splice(1, 0, [OPTION.overload, Uint8Array.of(overload)]);
  const packedLength = field.reduce((sum, [, value]) => sum + encodedOptionBytes(value), 1);
  const bytes = Buffer.alloc(Math.max(MIN_MESSAGE_BYTES, OPTIONS_OFFSET + packedLength));
  writeFields(bytes, message);
  writeOptions(bytes, OPTIONS_OFFSET, field);
  if (overload & OVERLOAD_FILE) writeOptions(bytes, FILE.offset, file);
  if (overload & OVERLOAD_SNAME) writeOptions(bytes, SNAME.offset, sname);
  return bytes;
}

/** Bytes left beside the end option, and in the options field beside option 52, which says that the others are used. */
function roomFor({ file, sname }: DhcpMessage, field: number): OptionRoom {
  return {
    field: field - 1 - 3,
    file: file === "" ? FILE.length - 1 : 0,
    sname: sname === "" ? SNAME.length - 1 : 0,
  };
}

function writeFields(bytes: Buffer, message: DhcpMessage): void {
  bytes[0] = message.op;
  bytes[1] = message.htype;
  bytes[2] = message.chaddr.length;
  bytes[3] = message.hops;
  bytes.writeUInt32BE(message.xid, 4);
  bytes.writeUInt16BE(message.secs, 8);
  bytes.writeUInt16BE(message.broadcast ? BROADCAST_FLAG : 0, 10);
  bytes.writeUInt32BE(message.ciaddr, 12);
  bytes.writeUInt32BE(message.yiaddr, 16);
  bytes.writeUInt32BE(message.siaddr, 20);
  bytes.writeUInt32BE(message.giaddr, 24);
  if (message.chaddr.length > MAX_HLEN) throw new RangeError(`chaddr has ${message.chaddr.length} bytes`);
  bytes.set(message.chaddr, 28);
  writeName(bytes, SNAME, message.sname);
  writeName(bytes, FILE, message.file);
  bytes.writeUInt32BE(MAGIC_COOKIE, COOKIE_OFFSET);
}

function encodedOptionsLength(options: DhcpOptions): number {
  let length = 1;
  for (const value of options.values()) length += encodedOptionBytes(value);
  return length;
}

function writeOptions(bytes: Buffer, start: number, options: Iterable<OptionEntry>): void {
  let offset = start;
  for (const [code, value] of options) {
    let from = 0;
    do {
      const length = Math.min(value.length - from, MAX_PART_BYTES);
      bytes[offset] = code;
      bytes[offset + 1] = length;
      for (let index = 0; index < length; index++) bytes[offset + 2 + index] = value[from + index] ?? 0;
      offset += 2 + length;
      from += length;
    } while (from < value.length);
  }
  bytes[offset] = END;
}

function writeName(bytes: Buffer, field: typeof FILE, name: string): void {
  if (name === "") return;
  if (name.length > field.length) throw new RangeError(`${name} does not fit into ${field.length} bytes`);
  bytes.write(name, field.offset, "latin1");
}
