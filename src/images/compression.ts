/** Which compression a file has, by its first bytes. */

export type Compression = "gzip" | "xz" | "zstd";

/** RFC 1952 §2.3.1; The .xz File Format §2.1.1; RFC 8878 §3.1.1. */
const MAGIC: readonly { readonly compression: Compression; readonly bytes: Buffer }[] = [
  { compression: "gzip", bytes: Buffer.of(0x1f, 0x8b) },
  { compression: "xz", bytes: Buffer.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00) },
  { compression: "zstd", bytes: Buffer.of(0x28, 0xb5, 0x2f, 0xfd) },
];
/** pzstd begins with a skippable frame (RFC 8878 §3.1.2): sixteen magic numbers, 0x184d2a50 to 0x184d2a5f. */
const SKIPPABLE_FRAME = 0x184d2a5;

/** @param head at least six bytes, or all of a shorter file */
export function recognizeCompression(head: Buffer): Compression | undefined {
  if (head.length >= 4 && head.readUInt32LE(0) >>> 4 === SKIPPABLE_FRAME) return "zstd";
  return MAGIC.find(({ bytes }) => head.subarray(0, bytes.length).equals(bytes))?.compression;
}
