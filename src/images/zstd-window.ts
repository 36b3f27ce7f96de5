/** How much memory a zstd frame claims of its decoder (RFC 8878 §3.1.1.1): what the frame says before it says anything else. */

/** A frame header at its longest, with its magic number. */
export const MAX_FRAME_HEADER_BYTES = 18;

const MAGIC = 0xfd2fb528;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [1, 2, 4, 8] as const;

/** @returns undefined where `head` is no whole header of a frame */
export function readWindowBytes(head: Buffer): number | undefined {
  if (head.length < 6 || head.readUInt32LE(0) !== MAGIC) return undefined;
  const descriptor = head.readUInt8(4);
  if ((descriptor & 0x20) === 0) {
    const window = head.readUInt8(5);
    const base = 2 ** (10 + (window >> 3));
    return base + (base / 8) * (window & 7);
  }
  // A single segment: its window is its content.
  const at = 5 + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0);
  const fieldBytes = CONTENT_SIZE_BYTES[descriptor >> 6] ?? 8;
  if (head.length < at + fieldBytes) return undefined;
  if (fieldBytes === 8) return Number(head.readBigUInt64LE(at));
  return head.readUIntLE(at, fieldBytes) + (fieldBytes === 2 ? 256 : 0);
}
