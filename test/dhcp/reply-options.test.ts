import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OPTION, type OptionEntry, textValue } from "../../src/dhcp/options.ts";
import { type DhcpMessage, decodePacket, encodePacket } from "../../src/dhcp/packet.ts";
import { ip, message, type Sent, server, tell } from "./helpers/server.ts";

const requests = (...codes: number[]): OptionEntry => [OPTION.parameterRequestList, Uint8Array.from(codes)];
const takes = (bytes: number): OptionEntry => [OPTION.maxMessageSize, Uint8Array.of(bytes >> 8, bytes & 255)];
const filler = (code: number, bytes: number): OptionEntry => [code, new Uint8Array(bytes).fill(code)];

/** What goes out for a DISCOVER, and what the client reads of it. */
function offered(configured: readonly OptionEntry[], sent: Sent = {}, file: string | null = null) {
  const state = server(
    { options: configured },
    { bootFieldsFor: () => ({ file, options: new Map(), reason: "" }) },
  );
  const decision = tell(state, message("discover", sent));
  if (decision.kind !== "reply") throw new Error(decision.reason);
  const bytes = Buffer.from(encodePacket(decision.message, decision.maxBytes));
  const read: DhcpMessage = decodePacket(bytes);
  return { bytes, read, codes: [...decision.message.options.keys()] };
}

describe("the options of a reply", () => {
  it("come in the order in which the client asked, and what it did not ask for behind them (RFC 2132 §9.8)", () => {
    const { codes } = offered([textOption(15), textOption(66)], { options: [requests(15, 6, 51, 200)] });
    expect(codes).toEqual([53, 54, 51, 15, 6, 58, 59, 1, 3, 66]);
  });

  it("have the mask before the router, whatever the client asked (RFC 2132 §3.3)", () => {
    const { codes } = offered([], { options: [requests(3, 1)] });
    expect(codes.indexOf(1)).toBeLessThan(codes.indexOf(3));
  });

  it("end with option 82, even if the client asked for it first (RFC 3046 §2.1)", () => {
    const { codes } = offered([], { options: [requests(82, 3), filler(82, 9)] });
    expect(codes.at(-1)).toBe(82);
  });

  it("go on in file and sname where the options field is full (RFC 2132 §9.3)", () => {
    const configured = [filler(200, 250), filler(201, 100), filler(202, 40)];
    const { bytes, read } = offered(configured);
    expect(bytes.length).toBeLessThanOrEqual(548);
    expect(configured.map(([code]) => read.options.get(code))).toEqual(configured.map(([, value]) => value));
    expect({ inFile: bytes[108], inSname: bytes[44] }).toEqual({ inFile: 201, inSname: 202 });
  });

  it("leave file to the boot file's name", () => {
    const { read } = offered([filler(200, 250), filler(201, 100), filler(202, 40)], {}, "undionly.kpxe");
    expect(read.file).toBe("undionly.kpxe");
    expect([200, 201, 202].map(code => read.options.has(code))).toEqual([true, false, true]);
  });

  it("stay together where the client takes a larger message (option 57)", () => {
    const configured = [filler(200, 250), filler(201, 100), filler(202, 40)];
    const { bytes, read } = offered(configured, { options: [takes(1200)] });
    expect(configured.every(([code]) => read.options.has(code))).toBe(true);
    expect({ inFile: bytes[108], inSname: bytes[44] }).toEqual({ inFile: 0, inSname: 0 });
  });

  it.each([
    ["a claim below the least that everybody takes", takes(64), 548],
    ["a claim of more than an Ethernet frame", takes(9000), 1472],
    ["no claim", requests(1), 548],
  ])("fit into a datagram of 576 to 1500 bytes: %s", (_name, option, mostBytes) => {
    const configured = Array.from({ length: 20 }, (_, index) => filler(200 + index, 200));
    const { bytes } = offered(configured, { options: [option] });
    expect(bytes.length).toBeLessThanOrEqual(mostBytes);
    expect(bytes.length).toBeGreaterThan(mostBytes - 210);
  });

  it("that nobody asked for give way to those asked for, and the last asked for to the first", () => {
    const configured = [200, 201, 202, 203, 204, 205].map(code => filler(code, 100));
    const { codes } = offered(configured, { options: [requests(205, 204, 203)] }, "file");
    expect(codes).toEqual([53, 54, 51, 205, 204, 58, 59, 1, 3, 6]);
  });

  it("that make it a reply to this client, its network and its boot are never left out", () => {
    const sent: Sent = {
      giaddr: ip("10.0.0.254"),
      options: [filler(61, 255), filler(82, 600), [97, new Uint8Array(17)], filler(118, 3)],
    };
    const url = `http://10.0.0.1:8091/${"x".repeat(200)}`;
    const { codes, read } = offered([filler(200, 100)], sent, url);
    expect(codes.filter(code => ![53, 54, 51, 1, 3, 61, 67, 97, 118, 82].includes(code))).toEqual([]);
    expect([61, 82, 97, 118].map(code => read.options.get(code)?.length)).toEqual([255, 600, 17, 3]);
    expect(read.options.get(67)).toEqual(new Uint8Array(textValue(`${url}\0`)));
  });

  it("are never lost or changed by what a client claims to take and asks for", () => {
    const entry = fc.tuple(fc.integer({ min: 200, max: 223 }), fc.uint8Array({ maxLength: 255 }));
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 8 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(2000),
        fc.uint8Array({ maxLength: 300 }),
        (configured, list, size, relayAgent) => {
          const options: OptionEntry[] = [[55, list], takes(size), [82, relayAgent]];
          const { codes, read, bytes } = offered(configured, { options });
          const given = new Map(configured);
          for (const code of codes.filter(code => given.has(code))) {
            expect(read.options.get(code)).toEqual(given.get(code));
          }
          expect([...read.options.keys()].toSorted()).toEqual(codes.toSorted());
          expect(read.options.get(82)).toEqual(relayAgent);
          expect(bytes.length).toBeLessThanOrEqual(1472);
        },
      ),
    );
  });
});

function textOption(code: number): OptionEntry {
  return [code, textValue(`option ${code}`)];
}
