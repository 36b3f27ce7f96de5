/**
 * Capture files as frames: classic pcap (both byte orders, microseconds and nanoseconds; draft-ietf-opsawg-pcap) and pcapng
 * (section header, interface description, enhanced and simple packets; draft-ietf-opsawg-pcapng). What a frame holds is
 * for packets.ts to say.
 */
import { DecodeError } from "../../../src/core/errors.ts";

export interface CapturedFrame {
  /** https://www.tcpdump.org/linktypes.html */
  readonly linkType: number;
  readonly bytes: Uint8Array;
  /** Larger than the frame's own bytes where the capture cut it. */
  readonly originalBytes: number;
  /** Since 1970, in nanoseconds; null where the format has none (pcapng's simple packets). */
  readonly at: bigint | null;
}

const CLASSIC_HEADER_BYTES = 24;
const CLASSIC_RECORD_BYTES = 16;
/** No tool writes larger ones: tcpdump's own limit (MAXIMUM_SNAPLEN of libpcap). */
const MAX_FRAME_BYTES = 262_144;
const NANOSECONDS = 1_000_000_000n;

/** First four bytes of a classic file, read big-endian → its byte order and what its fractions of a second count. */
const CLASSIC_FORMATS = new Map([
  [0xa1b2c3d4, { littleEndian: false, nanosecondsPerTick: 1000n }],
  [0xd4c3b2a1, { littleEndian: true, nanosecondsPerTick: 1000n }],
  [0xa1b23c4d, { littleEndian: false, nanosecondsPerTick: 1n }],
  [0x4d3cb2a1, { littleEndian: true, nanosecondsPerTick: 1n }],
]);
const BLOCK = { section: 0x0a0d0d0a, interface: 1, simplePacket: 3, enhancedPacket: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/**
 * @param file a whole capture file; frames are copies
 * @throws {DecodeError} naming the record or block and the offset in bytes, also where the file was cut
 */
export function readCapture(file: Uint8Array): CapturedFrame[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 4)
    throw new DecodeError(`capture ends at offset ${file.length}, within its magic number`);
  const magic = view.getUint32(0);
  if (magic === BLOCK.section) return readBlocks(file, view);
  const format = CLASSIC_FORMATS.get(magic);
  if (format === undefined) {
    throw new DecodeError(
      `0x${magic.toString(16).padStart(8, "0")} at offset 0 is no capture's magic number`,
    );
  }
  return readClassic(file, view, format);
}

function readClassic(
  file: Uint8Array,
  view: DataView,
  { littleEndian, nanosecondsPerTick }: { littleEndian: boolean; nanosecondsPerTick: bigint },
): CapturedFrame[] {
  if (file.length < CLASSIC_HEADER_BYTES) {
    throw new DecodeError(
      `capture ends at offset ${file.length}, within its header of ${CLASSIC_HEADER_BYTES} bytes`,
    );
  }
  // The upper bits hold the length of a frame check sequence.
  const linkType = view.getUint32(20, littleEndian) & 0xffff;
  const frames: CapturedFrame[] = [];
  for (let offset = CLASSIC_HEADER_BYTES; offset < file.length; ) {
    const name = `record ${frames.length + 1}`;
    if (offset + CLASSIC_RECORD_BYTES > file.length) {
      throw new DecodeError(
        `${name} at offset ${offset} ends within its header: ${file.length - offset} bytes remain`,
      );
    }
    const seconds = BigInt(view.getUint32(offset, littleEndian));
    const ticks = BigInt(view.getUint32(offset + 4, littleEndian));
    const capturedBytes = view.getUint32(offset + 8, littleEndian);
    const start = offset + CLASSIC_RECORD_BYTES;
    frames.push({
      linkType,
      bytes: takeFrame(file, name, start, capturedBytes, file.length),
      originalBytes: view.getUint32(offset + 12, littleEndian),
      at: seconds * NANOSECONDS + ticks * nanosecondsPerTick,
    });
    offset = start + capturedBytes;
  }
  return frames;
}

interface Interface {
  readonly linkType: number;
  readonly ticksPerSecond: bigint;
  /** Longer frames were cut to it; 0: none. */
  readonly snapBytes: number;
}

function readBlocks(file: Uint8Array, view: DataView): CapturedFrame[] {
  const frames: CapturedFrame[] = [];
  let littleEndian = false;
  let interfaces: Interface[] = [];
  for (let offset = 0; offset < file.length; ) {
    if (offset + 12 > file.length) {
      throw new DecodeError(
        `block at offset ${offset} ends within its header: ${file.length - offset} bytes remain`,
      );
    }
    const isSection = view.getUint32(offset) === BLOCK.section;
    if (isSection) littleEndian = readByteOrder(view, offset + 8);
    const length = view.getUint32(offset + 4, littleEndian);
    if (length < 12 || length % 4 !== 0 || offset + length > file.length) {
      throw new DecodeError(
        `block at offset ${offset} claims ${length} bytes; ${file.length - offset} remain`,
      );
    }
    const block: Block = { file, view, littleEndian, start: offset + 8, end: offset + length - 4 };
    switch (view.getUint32(offset, littleEndian)) {
      case BLOCK.section:
        // Interfaces are numbered within their section.
        interfaces = [];
        break;
      case BLOCK.interface:
        interfaces.push(readInterface(block));
        break;
      case BLOCK.enhancedPacket:
        frames.push(readEnhancedPacket(block, interfaces, frames.length + 1));
        break;
      case BLOCK.simplePacket:
        frames.push(readSimplePacket(block, interfaces, frames.length + 1));
        break;
      // Any other block is for readers that know it.
    }
    offset += length;
  }
  return frames;
}

interface Block {
  readonly file: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
  /** Of the body, in the file. */
  readonly start: number;
  readonly end: number;
}

function readByteOrder(view: DataView, offset: number): boolean {
  if (view.getUint32(offset, false) === BYTE_ORDER_MAGIC) return false;
  if (view.getUint32(offset, true) === BYTE_ORDER_MAGIC) return true;
  throw new DecodeError(`section at offset ${offset - 8} has no byte-order magic`);
}

function readInterface({ view, littleEndian, start, end }: Block): Interface {
  if (start + 8 > end) throw new DecodeError(`interface description at offset ${start - 8} is too short`);
  const linkType = view.getUint16(start, littleEndian);
  const snapBytes = view.getUint32(start + 4, littleEndian);
  let ticksPerSecond = 1_000_000n;
  for (let offset = start + 8; offset + 4 <= end; ) {
    const code = view.getUint16(offset, littleEndian);
    const length = view.getUint16(offset + 2, littleEndian);
    if (code === 0) break;
    if (offset + 4 + length > end) {
      throw new DecodeError(`option ${code} of the interface claims ${length} bytes at offset ${offset + 4}`);
    }
    if (code === TIME_RESOLUTION && length === 1) ticksPerSecond = resolution(view.getUint8(offset + 4));
    offset += 4 + Math.ceil(length / 4) * 4;
  }
  return { linkType, ticksPerSecond, snapBytes };
}

const TIME_RESOLUTION = 9;

/** A power of ten, or of two where the highest bit is set. */
function resolution(value: number): bigint {
  return value & 0x80 ? 2n ** BigInt(value & 0x7f) : 10n ** BigInt(value);
}

function readEnhancedPacket(block: Block, interfaces: readonly Interface[], number: number): CapturedFrame {
  const { view, littleEndian, start, end, file } = block;
  const name = `packet ${number}`;
  if (start + 20 > end) throw new DecodeError(`${name} at offset ${start - 8} ends within its header`);
  const { linkType, ticksPerSecond } = interfaceOf(interfaces, view.getUint32(start, littleEndian), name);
  const ticks =
    (BigInt(view.getUint32(start + 4, littleEndian)) << 32n) |
    BigInt(view.getUint32(start + 8, littleEndian));
  return {
    linkType,
    bytes: takeFrame(file, name, start + 20, view.getUint32(start + 12, littleEndian), end),
    originalBytes: view.getUint32(start + 16, littleEndian),
    at: (ticks * NANOSECONDS) / ticksPerSecond,
  };
}

/** It belongs to the first interface and says only how long the frame was. */
function readSimplePacket(block: Block, interfaces: readonly Interface[], number: number): CapturedFrame {
  const { view, littleEndian, start, end, file } = block;
  const name = `packet ${number}`;
  if (start + 4 > end) throw new DecodeError(`${name} at offset ${start - 8} ends within its header`);
  const { linkType, snapBytes } = interfaceOf(interfaces, 0, name);
  const originalBytes = view.getUint32(start, littleEndian);
  const capturedBytes = snapBytes === 0 ? originalBytes : Math.min(originalBytes, snapBytes);
  return { linkType, bytes: takeFrame(file, name, start + 4, capturedBytes, end), originalBytes, at: null };
}

function interfaceOf(interfaces: readonly Interface[], index: number, name: string): Interface {
  const found = interfaces[index];
  if (found === undefined)
    throw new DecodeError(`${name} is of interface ${index}; ${interfaces.length} are described`);
  return found;
}

function takeFrame(file: Uint8Array, name: string, start: number, length: number, end: number): Uint8Array {
  if (length > MAX_FRAME_BYTES) {
    throw new DecodeError(
      `${name} claims ${length} bytes at offset ${start}; at most ${MAX_FRAME_BYTES} are read`,
    );
  }
  if (start + length > end) {
    throw new DecodeError(`${name} claims ${length} bytes at offset ${start}; ${end - start} remain`);
  }
  return new Uint8Array(file.subarray(start, start + length));
}
