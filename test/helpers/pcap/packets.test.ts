import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Packet, readPackets } from "./packets.ts";
import { LINK_TYPE } from "./write-capture.ts";

const PAYLOAD = Buffer.from("hello, provisioner");

function udp(payload: Uint8Array = PAYLOAD): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(68, 0);
  header.writeUInt16BE(67, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

function ipv4(body: Uint8Array, fragment = 0, protocol = 17): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + body.length, 2);
  header.writeUInt16BE(77, 4);
  header.writeUInt16BE(fragment, 6);
  header[9] = protocol;
  header.set([10, 0, 0, 1, 10, 0, 0, 2], 12);
  return Buffer.concat([header, body]);
}

const ethernet = (body: Uint8Array, ...ethertypes: number[]) =>
  Buffer.concat([Buffer.alloc(12), Buffer.from(ethertypes), body]);

function read(linkType: number, ...frames: Uint8Array[]) {
  return readPackets(frames.map(bytes => ({ linkType, bytes, originalBytes: bytes.length, at: null })));
}

const WHOLE = {
  kind: "udp",
  from: { address: "10.0.0.1", port: 68 },
  to: { address: "10.0.0.2", port: 67 },
  payload: new Uint8Array(PAYLOAD),
};
const MORE_FRAGMENTS = 0x2000;

describe("readPackets()", () => {
  it.each([
    ["Ethernet", LINK_TYPE.ethernet, ethernet(ipv4(udp()), 8, 0)],
    [
      "Ethernet padded to its least length",
      LINK_TYPE.ethernet,
      ethernet(Buffer.concat([ipv4(udp()), Buffer.alloc(9)]), 8, 0),
    ],
    ["Ethernet with a VLAN tag", LINK_TYPE.ethernet, ethernet(ipv4(udp()), 0x81, 0, 0, 7, 8, 0)],
    [
      "Ethernet with two tags",
      LINK_TYPE.ethernet,
      ethernet(ipv4(udp()), 0x88, 0xa8, 0, 1, 0x81, 0, 0, 7, 8, 0),
    ],
    ["Linux cooked", LINK_TYPE.linuxCooked, Buffer.concat([Buffer.alloc(14), Buffer.of(8, 0), ipv4(udp())])],
    [
      "Linux cooked, second form",
      LINK_TYPE.linuxCooked2,
      Buffer.concat([Buffer.of(8, 0), Buffer.alloc(18), ipv4(udp())]),
    ],
    ["raw IPv4", LINK_TYPE.raw, ipv4(udp())],
  ])("reads a UDP datagram from %s", (_name, linkType, frame) => {
    expect(read(linkType, frame)).toEqual([WHOLE]);
  });

  it("joins fragments in any order, at the frame that completes them", () => {
    const whole = udp();
    const first = ipv4(whole.subarray(0, 8), MORE_FRAGMENTS);
    const second = ipv4(whole.subarray(8, 16), MORE_FRAGMENTS | 1);
    const last = ipv4(whole.subarray(16), 2);
    for (const order of [
      [first, second, last],
      [last, second, first],
      [second, second, last, first],
    ]) {
      const packets = read(LINK_TYPE.raw, ...order);
      expect(packets.at(-1)).toEqual(WHOLE);
      expect(packets.slice(0, -1).every(packet => packet.kind === "unread")).toBe(true);
    }
  });

  it("reports a fragment whose others never came", () => {
    expect(read(LINK_TYPE.raw, ipv4(udp().subarray(0, 8), MORE_FRAGMENTS))).toEqual([
      { kind: "unread", what: "fragment at 0 of a datagram from 10.0.0.1" },
    ]);
  });

  it.each([
    ["ARP", LINK_TYPE.ethernet, ethernet(Buffer.alloc(28), 8, 6), "ARP"],
    ["IPv6", LINK_TYPE.ethernet, ethernet(Buffer.alloc(40), 0x86, 0xdd), "IPv6"],
    ["ICMP", LINK_TYPE.raw, ipv4(Buffer.alloc(8), 0, 1), "IP protocol 1"],
    [
      "a frame that a short snapshot length cut",
      LINK_TYPE.raw,
      ipv4(udp()).subarray(0, 30),
      "that the capture cut short",
    ],
    [
      "a frame cut in its header",
      LINK_TYPE.ethernet,
      Buffer.alloc(9),
      "a frame of 9 bytes that ends within a header",
    ],
    ["a link type that nobody here has", 147, Buffer.alloc(60), "link type 147"],
  ])("names %s and leaves it alone", (_name, linkType, frame, what) => {
    expect(read(linkType, frame)).toEqual([{ kind: "unread", what: expect.stringContaining(what) }]);
  });

  it("reads a TCP segment behind its options", () => {
    const header = Buffer.alloc(24);
    header.writeUInt16BE(50_000, 0);
    header.writeUInt16BE(8091, 2);
    header.writeUInt32BE(4_000_000_000, 4);
    header[12] = 6 << 4;
    header[13] = 0x02;
    const [packet] = read(LINK_TYPE.raw, ipv4(Buffer.concat([header, PAYLOAD]), 0, 6)) as Packet[];
    expect(packet).toMatchObject({
      kind: "tcp",
      sequence: 4_000_000_000,
      starts: true,
      payload: WHOLE.payload,
    });
  });

  it("answers any bytes with a packet or with a name for them", () => {
    const linkTypes = fc.constantFrom(...Object.values(LINK_TYPE), 9999);
    const changed = fc.array(fc.tuple(fc.nat(59), fc.nat(255)), { maxLength: 6 }).map(changes => {
      const frame = ethernet(ipv4(udp()), 8, 0);
      for (const [offset, value] of changes) frame[offset] = value;
      return frame;
    });
    fc.assert(
      fc.property(linkTypes, fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (linkType, bytes) => {
        expect(read(linkType, bytes)).toHaveLength(1);
      }),
    );
  });
});
