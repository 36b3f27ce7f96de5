/**
 * DHCP messages as bytes (RFC 2131 §2, options by RFC 2132 §2, overload by §9.3, long options by RFC 3396). Knows layout,
 * not meaning.
 */
import { DecodeError } from "../core/errors.ts";
import type { Ipv4 } from "../core/ipv4.ts";
import { type DhcpOptions, OPTION, readUint8, textUntilNul } from "./options.ts";

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
/** An option's length is one byte; longer values are sent in parts (RFC 3396). */
const MAX_PART_BYTES = 255;

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
    chaddr: new Uint8Array(bytes.subarray(28, 28 + hlen)),
    sname: overload & OVERLOAD_SNAME ? "" : text(SNAME),
    file: overload & OVERLOAD_FILE ? "" : text(FILE),
    options,
  };
}

const OVERLOAD_FILE = 1;
const OVERLOAD_SNAME = 2;

/** The options field first, then `file`, then `sname`: the order in which RFC 3396 §5 joins parts. */
function decodeOptions(bytes: Uint8Array): { options: DhcpOptions; overload: number } {
  const parts = new Map<number, Uint8Array[]>();
  readOptionParts(bytes, OPTIONS_OFFSET, bytes.length, parts);
  const overload = readUint8(joinParts(parts), OPTION.overload) ?? 0;
  parts.delete(OPTION.overload);
  if (overload & OVERLOAD_FILE) readOptionParts(bytes, FILE.offset, FILE.offset + FILE.length, parts);
  if (overload & OVERLOAD_SNAME) readOptionParts(bytes, SNAME.offset, SNAME.offset + SNAME.length, parts);
  parts.delete(OPTION.overload);
  return { options: joinParts(parts), overload };
}

/** A missing end option is forgiven: the field's end ends it, as in messages of old boot ROMs. */
function readOptionParts(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Map<number, Uint8Array[]>,
): void {
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
    const value = bytes.subarray(valueOffset, valueOffset + length);
    const earlier = into.get(code);
    if (earlier === undefined) into.set(code, [value]);
    else earlier.push(value);
    offset = valueOffset + length;
  }
}

/** Copies: the receive buffer is not ours to keep. */
function joinParts(parts: ReadonlyMap<number, readonly Uint8Array[]>): Map<number, Uint8Array> {
  const joined = new Map<number, Uint8Array>();
  for (const [code, values] of parts) joined.set(code, new Uint8Array(Buffer.concat(values)));
  return joined;
}

/**
 * Options go into the options field in the map's order; long ones in parts, `sname` and `file` are never overloaded.
 *
 * @throws {RangeError} when a name is longer than its field
 */
export function encodePacket(message: DhcpMessage): Uint8Array {
  const bytes = Buffer.alloc(
    Math.max(MIN_MESSAGE_BYTES, OPTIONS_OFFSET + encodedOptionsLength(message.options)),
  );
  bytes.writeUInt8(message.op, 0);
  bytes.writeUInt8(message.htype, 1);
  bytes.writeUInt8(message.chaddr.length, 2);
  bytes.writeUInt8(message.hops, 3);
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
  writeOptions(bytes, message.options);
  return bytes;
}

function encodedOptionsLength(options: DhcpOptions): number {
  let length = 1;
  for (const value of options.values()) length += partCount(value) * 2 + value.length;
  return length;
}

/** An empty value is one empty part. */
function partCount(value: Uint8Array): number {
  return Math.max(1, Math.ceil(value.length / MAX_PART_BYTES));
}

function writeOptions(bytes: Buffer, options: DhcpOptions): void {
  let offset = OPTIONS_OFFSET;
  for (const [code, value] of options) {
    for (let part = 0; part < partCount(value); part++) {
      const piece = value.subarray(part * MAX_PART_BYTES, (part + 1) * MAX_PART_BYTES);
      bytes[offset] = code;
      bytes[offset + 1] = piece.length;
      bytes.set(piece, offset + 2);
      offset += 2 + piece.length;
    }
  }
  bytes[offset] = END;
}

function writeName(bytes: Buffer, field: typeof FILE, name: string): void {
  if (name.length > field.length) throw new RangeError(`${name} does not fit into ${field.length} bytes`);
  bytes.write(name, field.offset, "latin1");
}
