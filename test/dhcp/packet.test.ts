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

  it("reads back what was spread over file and sname, at any size that the client takes (RFC 2132 §9.3)", () => {
    const namesOrNone = fc.constantFrom({}, { file: "" }, { sname: "" }, { file: "", sname: "" });
    fc.assert(
      fc.property(message, namesOrNone, fc.integer({ min: 300, max: 1500 }), (sent, names, maxBytes) => {
        const spread = { ...sent, ...names };
        expect(decodePacket(encodePacket(spread, maxBytes))).toEqual(spread);
      }),
      { numRuns: 300 },
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

  it("gives a message or a DecodeError for overloaded fields that were damaged anywhere", () => {
    const options = new Map([200, 201, 202].map(code => [code, new Uint8Array(60).fill(code)]));
    const [sample] = fc.sample(message, { numRuns: 1, seed: 7 });
    if (sample === undefined) throw new Error("no sample");
    const whole = encodePacket({ ...sample, file: "", sname: "", options }, 320);
    for (let offset = 44; offset < whole.length; offset++) {
      for (const value of [0, 1, 52, 82, 254, 255]) {
        const damaged = Uint8Array.from(whole);
        damaged[offset] = value;
        expectMessageOrDecodeError(damaged);
      }
    }
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

describe("encodePacket() with too little room", () => {
  const [sample] = fc.sample(message, { numRuns: 1, seed: 1 });
  if (sample === undefined) throw new Error("no sample");
  const empty = { ...sample, file: "", sname: "" };
  /** 30 bytes of options field. */
  const SMALL = OPTIONS_OFFSET + 30;

  it("takes file, then sname, and says so in option 52", () => {
    const options = new Map([
      [53, Uint8Array.of(2)],
      [200, new Uint8Array(100).fill(1)],
      [201, new Uint8Array(50).fill(2)],
    ]);
    const bytes = encodePacket({ ...empty, options }, SMALL);
    expect([...bytes.subarray(OPTIONS_OFFSET, OPTIONS_OFFSET + 7)]).toEqual([53, 1, 2, 52, 1, 3, 255]);
    expect([...bytes.subarray(108, 111), bytes[108 + 102]]).toEqual([200, 100, 1, 255]);
    expect([...bytes.subarray(44, 47), bytes[44 + 52]]).toEqual([201, 50, 2, 255]);
  });

  it("lets a long option go on from field to field, in the order in which it is joined (RFC 3396 §5)", () => {
    const value = Uint8Array.from({ length: 180 }, (_, index) => index);
    const bytes = encodePacket({ ...empty, options: new Map([[200, value]]) }, SMALL);
    expect(decodePacket(bytes).options.get(200)).toEqual(value);
    expect([bytes[OPTIONS_OFFSET], bytes[108], bytes[44]]).toEqual([200, 200, 200]);
    expect(bytes).toHaveLength(300);
  });

  it("keeps option 82 whole, at the end of the options field, where a relay looks for it (RFC 3046 §2.1)", () => {
    const relayAgent = new Uint8Array(20).fill(7);
    const options = new Map([
      [53, Uint8Array.of(2)],
      [200, new Uint8Array(20)],
      [82, relayAgent],
    ]);
    const bytes = encodePacket({ ...empty, options }, SMALL);
    expect([...bytes.subarray(OPTIONS_OFFSET, OPTIONS_OFFSET + 29)]).toEqual([
      ...[53, 1, 2, 52, 1, 1],
      ...[82, 20, ...relayAgent],
      255,
    ]);
    expect(bytes[108]).toBe(200);
  });
});

function expectMessageOrDecodeError(bytes: Uint8Array): void {
  try {
    decodePacket(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}
