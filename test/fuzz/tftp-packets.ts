/** Hostile TFTP packets: requests and answers by the grammar whose every field may lie, damaged ones, and plain noise. */
import { mutateBytes } from "./mutate.ts";
import type { SeededRandom } from "./random.ts";

const MAX_NOISE_BYTES = 1500;

const NAMES = [
  "small.bin",
  "large.bin",
  "autoexec.ipxe",
  "grub/grub.cfg",
  "/small.bin",
  "",
  "../../../../etc/passwd",
  "..\\..\\windows",
  "small.bin/../../etc/shadow",
  "/proc/self/environ",
  "a".repeat(600),
  "\u001b[2J\r\n",
  "__proto__",
] as const;
const MODES = ["octet", "octet", "octet", "OCTET", "netascii", "mail", "", "x".repeat(300)] as const;
const OPTIONS = [
  "blksize",
  "windowsize",
  "tsize",
  "timeout",
  "rollover",
  "multicast",
  "BLKSIZE",
  "",
  "__proto__",
] as const;
const VALUES = [
  "0",
  "1",
  "8",
  "512",
  "1428",
  "65464",
  "65465",
  "65535",
  "65536",
  "-1",
  "1e3",
  "0x10",
  " 8",
  "99999999999999999999",
  "NaN",
  "",
] as const;
const ERROR_TEXTS = ["", "disk full", "\u001b]0;x\u0007", "e".repeat(500)] as const;

/** For port 69. */
export function makeTftpRequest(random: SeededRandom): Buffer {
  const kind = random.below(20);
  if (kind === 0) return random.bytes(random.below(MAX_NOISE_BYTES));
  if (kind < 4) return makeTransferPacket(random, 1);
  const request = makeRequest(random);
  return kind < 11 ? mutateBytes(random, request) : request;
}

/**
 * For the port of a transfer.
 *
 * @param block the one that the transfer is at: acknowledgements near it are the ones that could confuse
 */
export function makeTransferPacket(random: SeededRandom, block: number): Buffer {
  switch (random.below(8)) {
    case 0:
      return random.bytes(random.below(MAX_NOISE_BYTES));
    case 1:
      return makeRequest(random);
    case 2:
      return mutateBytes(random, acknowledgement(block));
    case 3:
      return acknowledgement(random.below(0x10000));
    case 4:
      return Buffer.concat([Buffer.of(0, 3), random.bytes(2 + random.below(600))]);
    case 5:
      return Buffer.concat([Buffer.of(0, 6), makeOptions(random)]);
    case 6:
      return Buffer.concat([
        Buffer.of(0, 5, 0, random.below(10)),
        Buffer.from(`${random.pick(ERROR_TEXTS)}\0`),
      ]);
    default:
      return acknowledgement(block - 2 + random.below(5));
  }
}

function makeRequest(random: SeededRandom): Buffer {
  const opcode = random.onceIn(8) ? random.below(0x10000) : random.pick([1, 1, 1, 1, 2]);
  const words = Buffer.from(`${random.pick(NAMES)}\0${random.pick(MODES)}\0`);
  return Buffer.concat([Buffer.of(opcode >> 8, opcode & 0xff), words, makeOptions(random)]);
}

function makeOptions(random: SeededRandom): Buffer {
  let options = "";
  for (let count = random.below(6); count > 0; count--) {
    options += `${random.pick(OPTIONS)}\0${random.pick(VALUES)}\0`;
  }
  return Buffer.from(options);
}

/** @param block modulo 65536 */
function acknowledgement(block: number): Buffer {
  return Buffer.of(0, 4, (block >> 8) & 0xff, block & 0xff);
}
