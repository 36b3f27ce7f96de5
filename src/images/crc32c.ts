/** CRC-32C (RFC 3720 §12.1, reflected polynomial 0x82f63b78), not inverted at the end, as ext4 chains it. */

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let remainder = index;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0x82f63b78 : 0);
  return remainder;
});

/** @param state 0xffffffff, or what an earlier part of the bytes gave */
export function crc32c(state: number, bytes: Uint8Array): number {
  let crc = state;
  for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return crc >>> 0;
}

/** Chains a little-endian 32-bit number. */
export function crc32cOfNumber(state: number, value: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return crc32c(state, bytes);
}
