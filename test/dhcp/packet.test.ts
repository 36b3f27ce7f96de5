import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src/core/errors.ts";
import type { Ipv4 } from "../../src/core/ipv4.ts";
import { type DhcpMessage, decodePacket, encodePacket } from "../../src/dhcp/packet.ts";

const OPTIONS_OFFSET = 240;

/** A packet whose options field holds exactly these bytes. */
function packetWith(
  options: readonly number[],
  fields: { sname?: number[]; file?: number[] } = {},
): Uint8Array {
  const bytes = Buffer.alloc(OPTIONS_OFFSET + options.length);
  bytes.set([1, 1, 6, 0]);
  bytes.set(fields.sname ?? [], 44);
  bytes.set(fields.file ?? [], 108);
  bytes.writeUInt32BE(0x63825363, 236);
  bytes.set(options, OPTIONS_OFFSET);
  return bytes;
}

const ipv4 = fc.integer({ min: 0, max: 0xffffffff }).map(number => number as Ipv4);
const nulFreeText = (maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 1, max: 255 }).map(code => String.fromCharCode(code)), maxLength });
const optionCode = fc.integer({ min: 1, max: 254 }).filter(code => code !== 52);
const message: fc.Arbitrary<DhcpMessage> = fc.record({
  op: fc.constantFrom(1, 2),
  htype: fc.nat(255),
  hops: fc.nat(255),
  xid: fc.integer({ min: 0, max: 0xffffffff }),
  secs: fc.nat(65535),
  broadcast: fc.boolean(),
  ciaddr: ipv4,
  yiaddr: ipv4,
  siaddr: ipv4,
  giaddr: ipv4,
  chaddr: fc.uint8Array({ maxLength: 16 }),
  sname: nulFreeText(64),
  file: nulFreeText(128),
  options: fc
    .array(fc.tuple(optionCode, fc.uint8Array({ maxLength: 600 })), { maxLength: 6 })
    .map(entries => new Map(entries)),
});

describe("decodePacket()", () => {
  it("reads back what encodePacket() wrote, long options included (RFC 3396)", () => {
    fc.assert(
      fc.property(message, sent => {
        expect(decodePacket(encodePacket(sent))).toEqual(sent);
      }),
    );
  });

  it("gives a message or a DecodeError for a packet that was cut anywhere", () => {
    const whole = encodePacket({
      ...fc.sample(message, { numRuns: 1, seed: 7 })[0],
      options: new Map([
        [53, Uint8Array.of(1)],
        [82, new Uint8Array(300)],
      ]),
    } as DhcpMessage);
    for (let length = 0; length < whole.length; length++)
      expectMessageOrDecodeError(whole.subarray(0, length));
  });

  it("throws nothing but DecodeError for random and for mutated bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), expectMessageOrDecodeError));
    fc.assert(
      fc.property(message, fc.array(fc.tuple(fc.nat(900), fc.nat(255))), (sent, mutations) => {
        const bytes = encodePacket(sent);
        for (const [offset, value] of mutations) bytes[offset % bytes.length] = value;
        expectMessageOrDecodeError(bytes);
      }),
    );
  });

  it("steps over single pad bytes", () => {
    const { options } = decodePacket(packetWith([0, 53, 1, 1, 0, 0, 60, 1, 65, 255, 99]));
    expect([...options.keys()]).toEqual([53, 60]);
  });

  it("forgives a missing end option", () => {
    expect(decodePacket(packetWith([53, 1, 3])).options.get(53)).toEqual(Uint8Array.of(3));
  });

  it("reads options from file, then sname, when option 52 says so (RFC 2132 §9.3)", () => {
    const bytes = packetWith([52, 1, 3, 60, 1, 65, 255], {
      file: [60, 1, 66, 255],
      sname: [60, 1, 67, 255],
    });
    const { options, file, sname } = decodePacket(bytes);
    expect(Buffer.from(options.get(60) ?? []).toString()).toBe("ABC");
    expect({ file, sname }).toEqual({ file: "", sname: "" });
  });

  it("says which option claims more bytes than there are, and where", () => {
    expect(() => decodePacket(packetWith([82, 9, 1, 2, 3, 4]))).toThrow(
      new DecodeError("option 82 claims 9 bytes at offset 242; 4 remain"),
    );
  });

  it("refuses a hardware address that is longer than its field", () => {
    const bytes = packetWith([255]);
    bytes[2] = 17;
    expect(() => decodePacket(bytes)).toThrow("hlen is 17 at offset 2");
  });

  it("refuses BOOTP without DHCP's cookie, and a packet beyond its limit", () => {
    const bytes = packetWith([255]);
    bytes[236] = 0;
    expect(() => decodePacket(bytes)).toThrow("no DHCP magic cookie at offset 236");
    expect(() => decodePacket(new Uint8Array(6001))).toThrow("6001 bytes");
  });

  it("keeps nothing of the receive buffer", () => {
    const bytes = packetWith([60, 1, 65, 255]);
    bytes.set([2, 0, 0, 0, 0, 1], 28);
    const decoded = decodePacket(bytes);
    bytes.fill(0);
    expect(decoded.chaddr).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 1));
    expect(decoded.options.get(60)).toEqual(Uint8Array.of(65));
  });
});

describe("encodePacket()", () => {
  it("pads to BOOTP's 300 bytes, which some relays and ROMs insist on", () => {
    const [sample] = fc.sample(message, { numRuns: 1, seed: 1 });
    if (sample === undefined) throw new Error("no sample");
    expect(encodePacket({ ...sample, options: new Map() })).toHaveLength(300);
  });
});

function expectMessageOrDecodeError(bytes: Uint8Array): void {
  try {
    decodePacket(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}
