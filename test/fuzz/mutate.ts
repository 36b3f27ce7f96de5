/** Damage that knows nothing of formats: what cables, bad firmware and attackers do to bytes. */
import type { SeededRandom } from "./random.ts";

/** Ends of ranges, where counting goes wrong. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff] as const;
const MAX_CHANGES = 4;
/** Appended or doubled at once. */
const MAX_PIECE_BYTES = 64;

/** @returns other bytes of any length, with one to four changes */
export function mutateBytes(random: SeededRandom, original: Uint8Array): Buffer {
  let bytes: Buffer = Buffer.from(original);
  for (let changes = 1 + random.below(MAX_CHANGES); changes > 0; changes--) bytes = changeOnce(random, bytes);
  return bytes;
}

function changeOnce(random: SeededRandom, bytes: Buffer): Buffer {
  if (bytes.length === 0) return random.bytes(random.below(MAX_PIECE_BYTES));
  const at = random.below(bytes.length);
  const length = 1 + random.below(Math.min(MAX_PIECE_BYTES, bytes.length - at));
  switch (random.below(7)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      bytes[at] = random.pick(EDGES);
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 5:
      return Buffer.concat([bytes, random.bytes(1 + random.below(MAX_PIECE_BYTES))]);
    default:
      bytes.fill(random.pick(EDGES), at, at + length);
      return bytes;
  }
}
