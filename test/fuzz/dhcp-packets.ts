/**
 * Hostile DHCP and ProxyDHCP packets: messages by the grammar whose every field may lie, half of them damaged as bytes too,
 * and plain noise. Their hardware addresses begin with 02:66, so that they never speak for a good client.
 */
import { mutateBytes } from "./mutate.ts";
import type { SeededRandom } from "./random.ts";

const FIXED_BYTES = 240;
const MAGIC_COOKIE = 0x63825363;
/** One Ethernet frame and more: the kernel puts fragments together. */
const MAX_NOISE_BYTES = 1500;
const HUGE_BYTES = 9000;
/** So few machines that leases are asked for again, declined and released, not only taken. */
const MACHINES = 4096;

/** Addresses that matter to a server: none, its own, pool, other networks, what must never be answered. */
const ADDRESSES = [
  "0.0.0.0",
  "0.0.0.0",
  "0.0.0.0",
  "10.77.0.1",
  "10.77.0.66",
  "10.77.1.0",
  "10.77.1.7",
  "10.77.3.3",
  "10.78.0.1",
  "127.0.0.1",
  "192.0.2.1",
  "224.0.0.1",
  "255.255.255.255",
].map(toNumber) as [number, ...number[]];

/** Nobody is there: 10.77.5.0/24. */
const SILENT_NETWORK = toNumber("10.77.5.0");

/** Options that a server reads, and a few that it does not. */
const CODES = [
  1, 6, 12, 43, 50, 51, 52, 53, 54, 55, 56, 57, 60, 61, 77, 80, 82, 90, 93, 94, 97, 108, 116, 118, 124, 150,
  175, 224,
] as const;
const TEXTS = [
  "PXEClient",
  "PXEClient:Arch:00007:UNDI:003016",
  "HTTPClient:Arch:00016:UNDI:003001",
  "iPXE",
  "\0",
  "../../etc/passwd",
  "\u001b[31m$(reboot)`\n",
] as const;
const ARCHITECTURES = [0, 6, 7, 9, 10, 11, 15, 16, 19, 0xffff] as const;
const SPECIAL_LENGTHS = [0, 1, 3, 4, 5, 8, 16, 17, 64, 255] as const;

export function makeDhcpPacket(random: SeededRandom): Buffer {
  const kind = random.below(20);
  if (kind === 0) return random.bytes(random.below(MAX_NOISE_BYTES));
  if (kind === 1) return afterCookie(random, random.bytes(random.below(600)));
  if (kind === 2 && random.onceIn(20)) return afterCookie(random, random.bytes(HUGE_BYTES));
  const message = makeMessage(random);
  return kind < 11 ? mutateBytes(random, message) : message;
}

/**
 * A whole DISCOVER of a relay that does not exist, on the server's own network: each reply waits in the kernel until ARP gives
 * up, and must not make other replies wait.
 */
export function makeSilentRelayPacket(random: SeededRandom): Buffer {
  const packet = afterCookie(random, Buffer.of(53, 1, 1, 255));
  packet.set([1, 1, 6, 0]);
  packet.fill(0, 12, 24);
  packet.writeUInt32BE(SILENT_NETWORK + random.below(256), 24);
  return packet;
}

/** Every field is by the grammar; their values need not make sense together. */
function makeMessage(random: SeededRandom): Buffer {
  const overload = random.onceIn(6) ? random.pick([1, 2, 3, 3, 4, 255]) : 0;
  const options = makeOptions(random, overload);
  const packet = afterCookie(random, options);
  // Options in `file` and `sname` may run over, never end, or claim an overload of their own.
  if (overload & 1) makeOptions(random, random.below(4)).copy(packet, 108, 0, 128);
  if (overload & 2) makeOptions(random, random.below(4)).copy(packet, 44, 0, 64);
  return packet;
}

function afterCookie(random: SeededRandom, options: Uint8Array): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES);
  fixed[0] = random.onceIn(20) ? random.below(256) : 1;
  fixed[1] = random.onceIn(8) ? random.pick([0, 6, 32, 255]) : 1;
  fixed[2] = random.onceIn(8) ? random.pick([0, 1, 5, 7, 8, 16, 17, 20, 255]) : 6;
  fixed[3] = random.onceIn(4) ? random.below(256) : 0;
  fixed.writeUInt32BE(random.uint32(), 4);
  fixed.writeUInt16BE(random.below(0x10000), 8);
  fixed.writeUInt16BE(random.pick([0, 0x8000, 0x7fff, 0xffff]), 10);
  for (const offset of [12, 16, 20, 24]) {
    if (random.onceIn(3)) fixed.writeUInt32BE(makeAddress(random), offset);
  }
  const machine = random.below(MACHINES);
  fixed.set([2, 0x66, 0, 0, machine >> 8, machine & 0xff], 28);
  if (random.onceIn(8)) random.bytes(192).copy(fixed, 44);
  fixed.writeUInt32BE(MAGIC_COOKIE, 236);
  return Buffer.concat([fixed, options]);
}

function makeOptions(random: SeededRandom, overload: number): Buffer {
  const options = [option(53, Buffer.of(random.onceIn(10) ? random.below(256) : 1 + random.below(8)))];
  if (overload > 0) options.push(option(52, Buffer.of(overload)));
  for (let count = random.below(8); count > 0; count--) options.push(makeOption(random));
  if (random.onceIn(20)) options.push(...Array.from({ length: 30 }, () => makeOption(random)));
  if (!random.onceIn(10)) options.push(Buffer.of(255));
  return Buffer.concat(options);
}

function makeOption(random: SeededRandom): Buffer {
  const code = random.onceIn(10) ? random.below(256) : random.pick(CODES);
  if (random.onceIn(6)) return option(code, random.bytes(random.pick(SPECIAL_LENGTHS)));
  switch (code) {
    case 50:
    case 54:
    case 118:
      return option(code, addressBytes(makeAddress(random)));
    case 55:
      return option(code, random.bytes(1 + random.below(60)));
    case 57:
      return option(code, uint16(random.pick([0, 1, 300, 576, 1500, 0xffff])));
    case 60:
    case 77:
      return option(code, Buffer.from(random.pick(TEXTS)));
    case 61:
      return option(
        code,
        Buffer.concat([Buffer.of(random.pick([0, 1, 255])), random.bytes(random.below(20))]),
      );
    case 82:
      return option(code, makeRelayAgent(random));
    case 93:
      return option(code, uint16(random.pick(ARCHITECTURES)));
    case 97:
      return option(code, Buffer.concat([Buffer.of(0), random.bytes(16)]));
    default:
      return option(code, random.bytes(random.below(12)));
  }
}

/** Sub-options of RFC 3046, 3527 and 5107 whose lengths may run out of the option. */
function makeRelayAgent(random: SeededRandom): Buffer {
  const parts: Buffer[] = [];
  for (let count = random.below(5); count > 0; count--) {
    const code = random.pick([1, 2, 5, 9, 11, 12, 150, 151, 255]);
    const value = [5, 11].includes(code) ? addressBytes(makeAddress(random)) : random.bytes(random.below(16));
    parts.push(option(code, value));
    if (random.onceIn(8)) parts.push(Buffer.of(code, random.below(256)));
  }
  return Buffer.concat(parts).subarray(0, 255);
}

function makeAddress(random: SeededRandom): number {
  return random.onceIn(4) ? random.uint32() : random.pick(ADDRESSES);
}

/** @param value is cut to what a length of one byte can tell */
function option(code: number, value: Uint8Array): Buffer {
  const told = value.subarray(0, 255);
  return Buffer.concat([Buffer.of(code, told.length), told]);
}

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

function addressBytes(address: number): Buffer {
  return Buffer.of(address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff);
}

function toNumber(address: string): number {
  return address.split(".").reduce((number, part) => number * 256 + Number(part), 0);
}
