/**
 * Unpacks zstd frames in which nothing is compressed (RFC 8878 §3.1.1.2: raw and RLE blocks alone), as they come of files that
 * are compressed already. That is copying, and needs neither a decoder nor its memory; every other frame is left to zstd.
 */

const MAGIC = 0xfd2fb528;
/** Single-segment, content size in four bytes, no checksum, no dictionary: what a chunk of 64 KiB and more is packed in. */
const DESCRIPTOR = 0xa0;
const HEADER_BYTES = 9;
const RAW_BLOCK = 0;
const RLE_BLOCK = 1;

/**
 * @param target filled with the content when the result is true; undefined content otherwise
 * @returns whether the frame was such a one, whole, and as long as `target` when unpacked
 */
export function unpackStored(frame: Uint8Array, target: Buffer): boolean {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC || bytes[4] !== DESCRIPTOR) return false;
  if (bytes.readUInt32LE(5) !== target.length) return false;
  let position = HEADER_BYTES;
  let filled = 0;
  for (;;) {
    if (position + 3 > bytes.length) return false;
    const header = bytes.readUIntLE(position, 3);
    const kind = (header >> 1) & 3;
    const length = header >> 3;
    const packed = kind === RLE_BLOCK ? 1 : length;
    position += 3;
    if (kind > RLE_BLOCK || position + packed > bytes.length || filled + length > target.length) return false;
    if (kind === RAW_BLOCK) bytes.copy(target, filled, position, position + length);
    else target.fill(bytes.readUInt8(position), filled, filled + length);
    position += packed;
    filled += length;
    if ((header & 1) === 1) return position === bytes.length && filled === target.length;
  }
}
