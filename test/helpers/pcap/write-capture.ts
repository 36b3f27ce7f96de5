/** Frames as a classic pcap file, which tcpdump and Wireshark open. */
import type { CapturedFrame } from "./read-capture.ts";

export const LINK_TYPE = {
  ethernet: 1,
  /** Raw IP as some systems number it, and as IANA-like registries do. */
  rawBsd: 12,
  raw: 101,
  linuxCooked: 113,
  rawIpv4: 228,
  linuxCooked2: 276,
} as const;

/** @returns little-endian with microseconds: what tcpdump writes here */
export function writeCapture(frames: readonly CapturedFrame[]): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(frames[0]?.linkType ?? LINK_TYPE.ethernet, 20);
  return Buffer.concat([
    header,
    ...frames.flatMap(({ bytes, at, originalBytes }) => {
      const record = Buffer.alloc(16);
      const microseconds = (at ?? 0n) / 1000n;
      record.writeUInt32LE(Number(microseconds / 1_000_000n), 0);
      record.writeUInt32LE(Number(microseconds % 1_000_000n), 4);
      record.writeUInt32LE(bytes.length, 8);
      record.writeUInt32LE(originalBytes, 12);
      return [record, bytes];
    }),
  ]);
}
