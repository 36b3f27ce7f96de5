/**
 * What firmware really said, from captures: every message is decoded, its sender recognised and answered. The fixtures'
 * readings are kept beside them. Captures from elsewhere (*.pcap, *.pcapng of the folder DRP_CAPTURES) are read in the same
 * way: nothing but a named decoding error may come of any of them.
 *
 *   DRP_CAPTURES=/some/folder npx vitest run test/pxe/captures.test.ts
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src/core/errors.ts";
import { type Ipv4, networkContains, parseIpv4, parseIpv4Network } from "../../src/core/ipv4.ts";
import { decideDhcp } from "../../src/dhcp/decide.ts";
import { LeaseIndex } from "../../src/dhcp/leases.ts";
import { BOOT_REQUEST, decodePacket } from "../../src/dhcp/packet.ts";
import type { Subnet } from "../../src/dhcp/subnet.ts";
import { identifyFirmware } from "../../src/pxe/firmware.ts";
import { readHexCapture } from "../helpers/pcap/hex-capture.ts";
import { type Packet, readPackets } from "../helpers/pcap/packets.ts";
import { type CapturedFrame, readCapture } from "../helpers/pcap/read-capture.ts";
import { renderExchange } from "../helpers/pcap/render-exchange.ts";
import { readTftp } from "../helpers/pcap/tftp-text.ts";

const FIXTURES = new URL("../fixtures/captures/", import.meta.url).pathname;
const ELSEWHERE = process.env.DRP_CAPTURES;
const SERVER = { interfaceName: "lan0", address: ip("10.77.0.1") };
const NOW = 1_000_000;

function ip(text: string): Ipv4 {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`${text} is not an address`);
  return address;
}

function subnet(): Subnet {
  const network = parseIpv4Network("10.77.0.0/16");
  if (network === undefined || !networkContains(network, SERVER.address)) throw new Error("not a network");
  const pools = [{ first: ip("10.77.1.0"), last: ip("10.77.1.255") }];
  const rest = { exclusions: [], reservations: [], router: null, dns: [], options: [] };
  return { network, pools, leaseSeconds: 600, ...rest };
}

/** What we make of each client's message, one line each: what it is taken for, and the decision with its reason. */
function readings(packets: readonly Packet[]): string[] {
  const leases = new LeaseIndex([subnet()], [SERVER.address]);
  const bootFieldsFor = () => ({ file: null, options: new Map(), reason: "nothing to boot in this test" });
  return packets
    .filter(({ to }) => to.port === 67 || to.port === 4011)
    .map(({ payload }) => {
      const message = decoded(() => decodePacket(payload));
      if (typeof message === "string") return message;
      if (message.op !== BOOT_REQUEST) return "a server's message";
      const decision = decideDhcp(message, SERVER, { leases, classes: [], bootFieldsFor }, NOW);
      if (decision.change !== null) leases.apply(decision.change);
      return `${identifyFirmware(message.options).reason} | ${decision.kind} | ${decision.reason}`;
    });
}

/** @returns what is wrong, where it is a DecodeError; throws anything else */
function decoded<T>(decode: () => T): T | string {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return `malformed: ${error.message}`;
  }
}

function udpOf(frames: readonly CapturedFrame[]): Packet[] {
  return readPackets(frames).filter(packet => packet.kind === "udp");
}

describe("captures of firmware", () => {
  it.each(readdirSync(FIXTURES).filter(name => name.endsWith(".hex")))("%s is read as before", async name => {
    const packets = udpOf(readHexCapture(readFileSync(join(FIXTURES, name), "utf8")));
    expect(packets.length).toBeGreaterThan(0);
    const text = `${renderExchange(packets)}\n${readings(packets).join("\n")}\n`;
    await expect(text).toMatchFileSnapshot(join(FIXTURES, name.replace(/hex$/, "txt")));
  });
});

describe.skipIf(ELSEWHERE === undefined)("captures from elsewhere", () => {
  const names = ELSEWHERE === undefined ? [] : readdirSync(ELSEWHERE, { recursive: true, encoding: "utf8" });

  it.each(names.filter(name => /\.(pcap|pcapng|cap)$/.test(name)))("%s", name => {
    const frames = decoded(() => readCapture(readFileSync(join(ELSEWHERE ?? "", name))));
    if (typeof frames === "string") return console.log(`${name}: ${frames}`);
    const packets = udpOf(frames);
    for (const { payload, to } of packets) if (to.port === 69) decoded(() => readTftp(payload));
    const text = renderExchange(readPackets(frames), { httpPorts: [80, 8091] });
    const read = readings(packets);
    if (read.length > 0) console.log(`${name}\n${text}\n${read.join("\n")}`);
  });
});
