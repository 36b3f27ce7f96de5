/** Whether the hostile packets are worth sending: repeated by their seed, and reaching every corner that they are made for. */
import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src/core/errors.ts";
import { type DhcpMessage, decodePacket } from "../../src/dhcp/packet.ts";
import { decodeTftp } from "../../src/pxe/tftp-packet.ts";
import { makeDhcpPacket } from "./dhcp-packets.ts";
import { SeededRandom } from "./random.ts";
import { makeTftpRequest, makeTransferPacket } from "./tftp-packets.ts";

const COUNT = 20_000;

function many(make: (random: SeededRandom) => Buffer, seed = 1): Buffer[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: COUNT }, () => make(random));
}

/** Undefined for a packet that is refused; anything thrown but a DecodeError is a fault. */
function decoded<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

const share = (all: readonly unknown[], some: readonly unknown[]) => some.length / all.length;

it.each([
  ["DHCP", makeDhcpPacket],
  ["TFTP", makeTftpRequest],
  ["transfer", (random: SeededRandom) => makeTransferPacket(random, 7)],
])("%s packets are the same for the same seed, and others for another", (_name, make) => {
  const bytes = (seed: number) => Buffer.concat(many(make, seed).slice(0, 500));
  expect(bytes(1).equals(bytes(1))).toBe(true);
  expect(bytes(1).equals(bytes(2))).toBe(false);
});

describe("DHCP packets", () => {
  const packets = many(makeDhcpPacket);
  const messages = packets
    .map(packet => decoded(decodePacket, packet))
    .filter((message): message is DhcpMessage => message !== undefined);

  it("are read by half or more, and refused by a good part", () => {
    expect(share(packets, messages)).toBeGreaterThan(0.4);
    expect(share(packets, messages)).toBeLessThan(0.9);
  });

  it("are of every message type, with and without a relay", () => {
    const types = new Set(messages.map(({ options }) => options.get(53)?.[0]));
    for (let type = 1; type <= 8; type++) expect(types).toContain(type);
    const relayed = messages.filter(({ giaddr }) => giaddr !== 0);
    expect(share(messages, relayed)).toBeGreaterThan(0.2);
    expect(messages.filter(({ options }) => options.has(82)).length).toBeGreaterThan(100);
  });

  it("never speak for the good client", () => {
    expect(messages.filter(({ chaddr }) => chaddr[1] === 0xaa)).toEqual([]);
  });

  it("are of any size, up to fragments", () => {
    expect(Math.min(...packets.map(({ length }) => length))).toBe(0);
    expect(Math.max(...packets.map(({ length }) => length))).toBeGreaterThan(9000);
  });
});

it("TFTP requests are read, refused, honest and lying", () => {
  const packets = many(makeTftpRequest);
  const read = packets.map(packet => decoded(decodeTftp, packet)).filter(packet => packet !== undefined);
  expect(share(packets, read)).toBeGreaterThan(0.4);
  expect(share(packets, read)).toBeLessThan(0.9);
  const names = read.map(packet => (packet.kind === "read" ? packet.fileName : undefined));
  expect(names).toContain("small.bin");
  expect(names).toContain("../../../../etc/passwd");
});
