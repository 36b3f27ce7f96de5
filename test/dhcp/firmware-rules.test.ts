/** What real clients need of a DHCP answer beyond its address: each rule with the source that it is known from. */
import { describe, expect, it } from "vitest";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import { type DhcpState, decideDhcp } from "../../src/dhcp/decide.ts";
import { OPTION, type OptionEntry, readIpv4, textValue } from "../../src/dhcp/options.ts";
import { type DhcpMessage, encodePacket } from "../../src/dhcp/packet.ts";
import type { BootFields } from "../../src/dhcp/reply.ts";
import { chooseDestination } from "../../src/dhcp/transmit.ts";
import {
  answer,
  asksFor,
  ip,
  leaseTo,
  message,
  NOW,
  replyOf,
  type Sent,
  server,
  tell,
  toServer,
} from "./helpers/server.ts";

const loads = (file: string | null): Partial<DhcpState> => ({
  bootFieldsFor: (): BootFields => ({ file, options: new Map(), reason: "" }),
});
const offer = (sent: Sent = {}, file: string | null = "undionly.kpxe") =>
  replyOf(tell(server({}, loads(file)), message("discover", sent)));
const bytesOf = (reply: DhcpMessage) => Buffer.from(encodePacket(reply));
const discoverAgain = (state: DhcpState, afterMs: number) =>
  answer(tell(state, message("discover"), { now: NOW + afterMs }));
const identifiers: readonly OptionEntry[] = [
  // What one machine calls itself in its firmware, in iPXE, and in systemd (RFC 4361: IAID and DUID).
  [OPTION.clientIdentifier, Uint8Array.of(0, ...new Uint8Array(16).fill(7))],
  [OPTION.clientIdentifier, Uint8Array.of(1, 0x52, 0x54, 0, 0, 0, 1)],
  [OPTION.clientIdentifier, Uint8Array.of(255, 0, 0, 0, 1, 0, 2, 0, 0, 0xab, 0x11)],
];

describe("a DHCP answer", () => {
  it.each<[rule: string, source: string, holds: () => unknown, expected: unknown]>([
    [
      "names its server in siaddr and in option 54",
      "field notes §1: firmware needs both",
      () => [formatIpv4(offer().siaddr), readIpv4(offer().options, 54)],
      ["10.0.0.1", ip("10.0.0.1")],
    ],
    [
      "names no server to load from where there is nothing to load",
      "RFC 2131 table 3: siaddr is the next server in bootstrap",
      () => offer({}, null).siaddr,
      0,
    ],
    [
      "has the boot file's name in its field, up to all 128 bytes",
      "field notes §1: every ROM reads the field",
      () => [offer({}, "x".repeat(128)).file.length, offer({}, "x".repeat(128)).options.has(67)],
      [128, false],
    ],
    [
      "ends option 67 with NUL",
      "field notes §1: old ROMs ask TFTP for pxelinux.0\\xff",
      () => offer({}, "x".repeat(129)).options.get(67)?.at(-1),
      0,
    ],
    [
      "has at least BOOTP's 300 bytes",
      "RFC 1542 §2.1; some relays and ROMs drop less",
      () => bytesOf(offer({}, null)).length,
      300,
    ],
    [
      "has its type before every other option",
      "RFC 2131 §3; ROMs that read no further",
      () => bytesOf(offer()).subarray(240, 243).toString("hex"),
      "350102",
    ],
    [
      "repeats the client's UUID as it came",
      "RFC 4578 §2.3",
      () => offer({ options: [[97, new Uint8Array(17)]] }).options.get(97)?.length,
      17,
    ],
    [
      "does without a UUID, and repeats none that is malformed",
      "field notes §1: tolerate its absence",
      () => [offer().options.has(97), offer({ options: [[97, new Uint8Array(17).fill(1)]] }).options.has(97)],
      [false, false],
    ],
    [
      "repeats the client identifier, in a NAK too",
      "RFC 6842 §3",
      () => {
        const sent = message("request", { options: [asksFor("9.9.9.9"), [61, Uint8Array.of(1, 2)]] });
        return replyOf(tell(server(), sent)).options.get(61);
      },
      Uint8Array.of(1, 2),
    ],
    [
      "gives one address to the firmware, iPXE and the system of one machine",
      "field notes §1: key leases on the hardware address (RFC 4361 identifiers differ)",
      () => {
        const state = server();
        return identifiers.map(identifier => leaseTo(state, {}, [identifier]));
      },
      ["ack 10.0.0.10", "ack 10.0.0.10", "ack 10.0.0.10"],
    ],
    [
      "still offers the same address to clients that ask again after 4, 8, 16 and 32 s",
      "field notes §1; RFC 2131 §4.1",
      () => {
        const state = server();
        return [0, 4000, 12_000, 28_000, 60_000].map(afterMs => discoverAgain(state, afterMs));
      },
      Array.from({ length: 5 }, () => "offer 10.0.0.10"),
    ],
    [
      "repeats the transaction, the broadcast flag and the hardware address, and neither secs nor hops",
      "RFC 2131 table 3",
      () => {
        const { xid, broadcast, secs, hops, htype } = offer({ xid: 7, broadcast: true, secs: 9, hops: 3 });
        return { xid, broadcast, secs, hops, htype };
      },
      { xid: 7, broadcast: true, secs: 0, hops: 0, htype: 1 },
    ],
    [
      "goes to the relay's port 67",
      "RFC 2131 §4.1",
      () => chooseDestination(offer({ giaddr: ip("10.9.0.1") })),
      { address: ip("10.9.0.1"), port: 67 },
    ],
    [
      "goes to everybody where the client has no address yet",
      "RFC 2131 §4.1: allowed where a unicast is not to be had",
      () => chooseDestination(offer()),
      { address: ip("255.255.255.255"), port: 68 },
    ],
    [
      "comes from the address of the interface that was asked",
      "tinkerbell/charts#109: clients drop replies of another server",
      () => {
        const receivedOn = { interfaceName: "lan1", address: ip("10.9.0.2") };
        const decision = decideDhcp(message("discover"), receivedOn, server({}, loads("x")), NOW);
        return [readIpv4(replyOf(decision).options, 54), replyOf(decision).siaddr];
      },
      [ip("10.9.0.2"), ip("10.9.0.2")],
    ],
    [
      "tells no machine a host name that nobody reserved for it",
      "field notes §1: 12 only if reserved",
      () =>
        offer({
          options: [
            [12, textValue("ubuntu")],
            [55, Uint8Array.of(12)],
          ],
        }).options.has(12),
      false,
    ],
    [
      "is broadcast for InfiniBand, whose hardware address is not in the message",
      "RFC 4390 §2.2",
      () => offer({ htype: 32, chaddr: new Uint8Array(), options: [[61, Uint8Array.of(255, 1)]] }).broadcast,
      true,
    ],
    [
      "is a NAK for an address of another network, so that a machine that was moved starts at once",
      "RFC 2131 §4.3.2",
      () => answer(tell(server(), message("request", { options: [asksFor("192.168.1.5")] }))),
      "nak",
    ],
    [
      "is no answer to a client that takes another server's offer",
      "RFC 2131 §4.3.2",
      () =>
        tell(server(), message("request", { options: [asksFor("10.0.0.10"), toServer("10.0.0.2")] })).kind,
      "silent",
    ],
  ])("%s (%s)", (_rule, _source, holds, expected) => {
    expect(holds()).toEqual(expected);
  });
});
